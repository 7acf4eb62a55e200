"""Reads for consumers: who was a member when, what an identifier means, what changed; and from which store.

What both stores have (the records of the streams, as they are now) is read from the one that the stage says:

1. `stage` knows how each stream stands, a second old at most;
2. `route` decides from it and from who asks: which store answers, which one is asked as well (`rollout` has the rules);
3. `records` reads canonical records of either store; a single record that waits to be mirrored is read from the
   authority, so that whoever wrote it reads it;
4. the answer is given;
5. `comparison` reads the same from the other store, in a thread of its own, and judges (`judging`) what differs:
   `ignoring` has what is known, `counted` the numbers.

What only the registry has is read there whatever the stage: `search`, `resolving`, `spells` (memberships through time),
`feed` (changes), `weights`.

How it can fail, and the answer:

* the registry is away, so the stage cannot be read → the stage of before, in this process; where none is known, the
  store that takes the writes, which the old store knows by itself; else AuthorityUnknown or StoreUnreachable;
* the store that is to answer is away → StoreUnreachable: the other one may be behind, and nobody would see it;
* a consumer is to be answered by a store that follows, and following stands still (paused, held, disabled) → the
  authority answers, whatever was rolled out;
* it cannot be told cheaply whether a record waits → the authority answers;
* the compared store is slow, away, hanging → the comparison ends at its deadline (`timeout`); more of them than can be
  done are dropped and counted. Nobody waits for one: they begin when the answer is sent;
* records changed between both reads → keys that differ are looked at again as a validation does it, before one counts;
* the stores' collations differ → keys are ordered by their bytes in both, so that pages fit together in a switch too;
* the old table has a key twice → its oldest row is told, as the relay would park it.
"""
