"""Writes of many records: checked field by field, written by the write service, audited, told one by one.

1. `fields` says what each field of a stream may be, as the registry's tables have it; `checks` turns what was given
   into canonical records and tells every fault with the place it is at;
2. `write` puts, amends or removes them through `dualwrite.writing`: all or none, or each by itself;
3. what each store has of each record is the answer, and who wrote how much is in the business audit;
4. `idempotency` gives a request that comes again the answer it had.

Ending a membership removes its record: the registry's trigger closes the spell, whichever store takes the writes.
Ending an instrument makes it inactive: its past is still asked for.

How it can fail, and the answer:

* a field is wrong → the record is not written, and in `all` mode none is; every fault is told, the first hundred;
* the store refuses what the checks let through → `all`: none is written; `each`: halves are tried until it is alone;
* the process dies between writing and answering → the same request with its Idempotency-Key is carried out again after
  a minute; until then it is told that it is under way;
* the business audit cannot be written (the registry is away, and only a mirror) → the log has it, the write stands;
* records are both put and ended → refused: the order would not be told;
* in `all` mode both kinds go in one transaction → the mirror follows when it is committed (`pending`).
"""
