"""Retention: old rows go, and everything that went can come back.

How it can fail, and the answer to each (docs/retention.md has the tests):

- Rows go whose backup cannot be read: nothing is removed before every part was read again from the storage, its bytes
  and its content held against what the server had sent, and a sample of it restored into a temporary table.
- A row changes, or a hold comes, between export and delete: each batch is removed under a lock that holds wait for,
  by the policy's own condition, and of every row only the version that was exported (`rows` says how that is known).
  What changed stays and is counted.
- More goes than the backup has: a row that came since has a version of its own; what was held or waited to be relayed
  at the moment of the export stays though it no longer is.
- The process dies: the row of the run says how far it was. Without a manifest its files are nothing and are removed;
  with one the next run reads the backup again and goes on. A batch that is gone is found gone, so nothing is removed
  or counted twice.
- Two at once: one run per table on every machine (`dualwrite.runs`), and removing is idempotent.
- The disk is full, a part is cut off or a bit of it flipped, the manifest is missing: the run ends before anything is
  removed, and says why.
- The clock is wrong, the policy is: brakes on rows and share of the table, a clock that is held against the server's
  and against the run before, an approval of every policy and change by a person, periods that nothing shortens below
  a minimum.
- A delete reaches further than it says: tables that others refer to with a cascade are refused.
- The migration is under way: only the store that takes the writes is trimmed, its triggers note the keys, and keys
  that wait or are parked stay.

1. `subject`: the tables an application declares; `conditions`, `policy`: what goes of them, frozen and hashed. Pure.
2. `schema`, `rows`: the table as it is in the catalog; the statements composed from it.
3. `planner`: cutoff, rows, examples, in a transaction that only reads; `brakes`: whether that may be. Pure.
4. `vault`, `part`, `manifest`: the storage, a part on its way to it and back, what all parts are.
5. `export`: one snapshot, its rows to parts, batch by batch.
6. `verify`: everything read back.
7. `trim`: batches go; what stayed is counted by its keys.
8. `run`: these in order as a state machine (`states`), `backing_up` its first half, `broken_off` what becomes of one
   that did not come to its end; `sweep`: every policy, as the schedule does.
9. `restore`, `drill`, `expiry`: rows come back; that they would is tried every week; backups end.
"""
