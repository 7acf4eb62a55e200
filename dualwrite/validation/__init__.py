"""Validation: proves that both stores of a stream hold equal records, while writes go on.

How it can fail, and the answer to each (docs/validation.md has the table of faults that are planted by tests):

- Two different records look the same: every value goes as text by value into a chain of 64-bit hashes that begins with
  the key's, so that nothing is joined that could be cut elsewhere; NULL is a word made anew for each run. A bucket's
  digest is the count and the exact sum of its rows' hashes: values swapped between rows and doubled rows show.
- Two equal records look different: numbers are compared by value and as they travel, points in time in UTC, text by its
  bytes; what the tolerance allows is never hashed, but held against each other field by field.
- The servers hash differently: both hash the same values first, and where they disagree md5 is used.
- A write on its way looks like a difference: what differs in two snapshots, which are never of one instant, is only a
  candidate, and becomes a verdict when its key has come to rest and two looks find the same.
- A table is seen twice or not at all in parts: all parts of a store are read in one snapshot, and until then nobody can
  rewrite or empty the table.
- A relay that stands still hides behind "on its way": what waits for long while nothing moves is `relay_stuck`.
- A flood of rows under one key: they are counted and digested where they are, and only the first are sent or kept.
- Too many differences: rows are streamed in one order and merged in batches; far too many are cut short, and
  the findings say so.
- A side fails, is empty or is cancelled: the run raises, or its findings show it; nothing of that is a pass.

1. `level`, `scope`, `tolerance`: what is compared, and when two values are equal. Pure.
2. `values`, `hashing`, `rows`: the statements, composed from the stream's declaration. Pure.
3. `sides`, `probe`: a session in each store, both at work at once; the handshake.
4. `digest`: one snapshot per store groups the records into buckets and returns a count and a sum of hashes of each.
5. `drill`, `merge`: the rows of differing buckets are read in one order from both stores and merged to candidates.
6. `look`, `recheck`, `verdict`: a candidate becomes a verdict when, for its key, the authority was read, nothing was
   pending, the mirror was read, and a second read of the authority gave the same; twice.
7. `engine.compare`: these steps in order, to `Findings`.
8. `run`: one run at a time per stream, its row, its status. Only a complete run that found nothing has passed.
"""
