"""Validation: proves that both stores of a stream hold equal records, while writes go on.

1. `digests`: one statement per store groups the canonical rows into buckets and returns a count and a digest of each.
2. `candidates`: the rows of differing buckets are read in one order from both stores and merged; what is on one side
   only, or differs, is a candidate, nothing more: the two snapshots are not of the same instant.
3. `recheck`: a candidate becomes a verdict when, for its key, the authority was read, nothing was pending, the mirror
   was read, and a second read of the authority gave the same. What never comes to rest is `unsettled`.
4. `run`: one run at a time per stream, its row, its status. Only a complete run that found nothing has passed.

How it can fail, and the answer: a row text that two different records share → ROW(...)::text is injective for NULL,
'' and separators, and numerics are compared by value; hash functions that differ between servers → md5 only; a swap
of values between rows → key and content are hashed together; both sides empty or one unreachable → never passed.
"""
