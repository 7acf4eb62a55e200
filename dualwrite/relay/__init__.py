"""The relay: makes the mirror equal to the authority, for the keys noted in the authority's outbox.

One batch, in the order of the data; the order is what makes it safe (docs/protocol.md):

1. `reader.take`: on the authority, notes (ids and keys) into a temporary table;
2. `reader.read`: in a later snapshot, the current records of those keys, or their absence, as raw COPY bytes;
3. `applier.apply`: on the mirror, in one transaction: lock fence and role, stage the bytes, MERGE, commit;
4. `reader.done`: only then delete exactly those notes.

While a full batch is applied the next one is taken and read (`ahead`).

Anything may die between two steps; the notes are still there and the next relay does the same again.

How it can fail, and the answer:

* a relay sleeps and wakes after another took over → its fence epoch is old, step 3 refuses (`Superseded`);
* several relays share a stream, one of them dies or stands still → the others take its partitions (`fleet`);
* a backfill is noted before a write → what yields has lanes of its own, taken last (`pipe`);
* the mirror's server has too much to do → it is spared (`sparing`);
* a snapshot is held for hours → deleted notes are passed over (`horizon`);
* keys fall into another number of partitions → the mirror compares it in step 3 (`control.partitions`);
* the mirror has become the authority → the role is checked on the locked row in step 3;
* one record cannot be applied → the batch is halved down to that key, which is parked with its error; the rest flows;
* it could be a moment later → it is tried again by itself, RETRY_ATTEMPTS times in all (`parking`);
* two keys block each other → they are applied together, making room for each other (`knot`, `room`);
* the mirror makes something else of a record → it is read back where it was applied, and parked (`readback`);
* a key is parked, or unparked, by one that has an old record → only what was seen parked before is unparked, and what
  is parked without the fences is noted again (`parking.settle`);
* a writer mirrors a key itself meanwhile (`inline`) → the fence refuses what was read before, and it is read again;
* many records of one stream cannot be applied → each stream is relayed in a thread of its own (`worker.run`);
* a key with a NULL part, or with several rows → parked, since no row can be meant by it;
* records are deleted by mistake → the mirror's rows are kept for a while (`control.deleted`);
* a mass delete → the brake holds the stream until an operator confirms (`brake`);
* capture is broken → nothing is relayed and the stream is reported (an empty outbox would mean nothing).
"""
