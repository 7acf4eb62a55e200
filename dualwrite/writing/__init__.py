"""The write service: canonical records go to the store that takes the writes, and are mirrored before the answer.

`stream.write(records)`, and `remove` and `amend` likewise, in the order of the data:

1. `records`: each record is checked against the stream's declaration, before any database is asked;
2. `service` finds the authority, `table` upserts all records in one statement there; the triggers note their keys, as
   for anybody else who writes;
3. `lane`: after the commit a thread of this process mirrors exactly these keys by the relay's own code, and the writer
   waits for it, `INLINE_RELAY_SECONDS` at most;
4. each record is answered with an `Outcome` for each store.

From 2 on the write is as safe as any other: whatever happens to 3, the keys are noted and the relay carries them.

How it can fail, and the answer:

* a record lacks a field, has an unknown one, no key, or one key comes twice → RecordInvalid, nothing is written;
* the store refuses a record (a constraint, a type) → RecordRefused, nothing is written: one statement for all of them;
* the authority is away → StoreUnreachable: there is nowhere to write;
* the roles changed since they were read → the trigger refuses, they are read again and the write is tried once more;
  refused again, or in a transaction of the caller's, which lies in the other store now → NotAuthority;
* two writers insert a key at once, where the table has no unique index → they take a lock of the key's first;
  a writer elsewhere does → RETRY_ATTEMPTS tries where an index or a deadlock tells so, else the key is parked;
* the caller's transaction is rolled back → nothing is mirrored: that begins with its commit, the answer is `pending`;
* the mirror is away, slow, locked, read-only, frozen → `pending`, with why. Only the first writers wait: as long as the
  mirror has not answered, later ones are told `pending` at once;
* the stream is paused, held or disabled → `paused`;
* the mirror cannot take a record → `parked`, the others are mirrored;
* a relay works on the same keys → whoever locks the fence later reads later (`relay.inline`);
* the process dies after the commit, or forks → the keys are noted; a child has lanes of its own;
* there are more keys than may be mirrored in a moment (`lane.MOST_KEYS`) → `pending`.
"""

from dualwrite.writing.service import amend, close, remove, write
from dualwrite.written import InStore, Outcome, Written

__all__ = ["InStore", "Outcome", "Written", "amend", "close", "remove", "write"]
