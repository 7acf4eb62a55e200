-- name: columns
-- The columns of a table in their order, with the types the catalog gives them; what the server computes is left out.
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_attribute AS a
 WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 ORDER BY a.attnum

-- name: key
-- The column of the primary key; no row where it has several, or there is none.
SELECT a.attname
  FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE i.indrelid = to_regclass(%(table)s) AND i.indisprimary AND i.indnkeyatts = 1

-- name: referrers
-- Tables that refer to this one, and what becomes of their rows: c cascade, n set null, d set default, a and r refuse.
SELECT c.conrelid::regclass::text, c.conname, c.confdeltype
  FROM pg_constraint AS c WHERE c.contype = 'f' AND c.confrelid = to_regclass(%(table)s)
 ORDER BY 1, 2

-- name: begin_reading
-- What follows sees one moment, and cannot write.
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: export_snapshot
-- Let another session see the same moment.
SELECT pg_export_snapshot()

-- name: survey
-- One pass: rows of the table, those that are old enough, those of them that go, and the ends of their dates.
SELECT clock_timestamp(), count(*), count(*) FILTER (WHERE s.old), count(*) FILTER (WHERE s.goes),
       min(s.age) FILTER (WHERE s.goes), max(s.age) FILTER (WHERE s.goes), pg_table_size(to_regclass(%(table)s)),
       max(s.age)
  FROM (SELECT {date} AS age, coalesce({old}, false) AS old, coalesce({goes}, false) AS goes FROM {table} AS t) AS s

-- name: examples
-- The oldest rows that go.
SELECT t.{key}::text, ({date})::text FROM {table} AS t WHERE {goes} ORDER BY {date}, t.{key} LIMIT %(limit)s

-- name: holds
-- What is held of a table now.
SELECT h.name, h.value FROM dualwrite_legal_hold AS h
 WHERE h."table" = %(subject)s AND h.released_at IS NULL AND (h.until IS NULL OR h.until > now())
 ORDER BY 1, 2

-- name: lock_holds
-- Whoever adds or changes a hold of the table waits until this transaction has ended (the trigger of that table).
SELECT pg_advisory_xact_lock_shared(25723, hashtext(%(subject)s))

-- name: batches
-- The rows that go, in ranges of keys: ends, count, and the exact sum of their fingerprints.
SELECT min(q.key)::text, max(q.key)::text, count(*), sum(q.fingerprint)::text
  FROM (SELECT t.{key} AS key, {fingerprint} AS fingerprint,
               (row_number() OVER (ORDER BY t.{key}) - 1) / %(batch_size)s AS batch
          FROM {table} AS t WHERE {goes}) AS q
 GROUP BY q.batch ORDER BY q.batch

-- name: export
-- The same rows in the same order, as text that the server reads back as it was.
COPY (SELECT {columns} FROM {table} AS t WHERE {goes} ORDER BY t.{key}) TO STDOUT

-- name: delete
-- A batch goes; how many rows, and the sum of their fingerprints, which must be those of the export.
WITH gone AS (DELETE FROM {table} AS t WHERE {in_range} AND {goes} RETURNING {fingerprint} AS fingerprint)
SELECT count(*), sum(fingerprint)::text FROM gone

-- name: archive
-- A batch moves, in one statement: nobody sees a row twice or not at all.
WITH gone AS (DELETE FROM {table} AS t WHERE {in_range} AND {goes} RETURNING {columns}),
     kept AS (INSERT INTO {archive} ({names}, archived_by) SELECT {names}, %(run)s FROM gone RETURNING 1)
SELECT count(*), sum({fingerprint})::text FROM gone AS t WHERE (SELECT count(*) FROM kept) >= 0

-- name: mark_inactive
-- A batch is marked; the rows are locked first, so that the fingerprints are of what is marked.
WITH found AS MATERIALIZED (SELECT t.{key} AS key, {fingerprint} AS fingerprint FROM {table} AS t
                             WHERE {in_range} AND {goes} FOR UPDATE),
     marked AS (UPDATE {table} AS t SET {inactive} = false FROM found WHERE t.{key} = found.key RETURNING 1)
SELECT count(*), sum(fingerprint)::text FROM found WHERE (SELECT count(*) FROM marked) >= 0

-- name: receive
-- A table for rows of a backup, with the columns' types and none of their rules.
CREATE TEMPORARY TABLE {place} ({definitions}) ON COMMIT DROP

-- name: load
-- Rows of a backup, as they were exported.
COPY {place} ({names}) FROM STDIN

-- name: loaded
-- How many rows came, and the sum of their fingerprints.
SELECT count(*), sum({fingerprint})::text FROM {place} AS t

-- name: delete_unchanged
-- Of a batch, the rows that are as they were exported and still may go.
WITH gone AS (DELETE FROM {table} AS t USING (SELECT {key_of_stored} AS key, {stored_fingerprint} AS fingerprint
                                                FROM {place} AS e) AS x
               WHERE t.{key} = x.key AND {in_range} AND {fingerprint} = x.fingerprint AND {goes} RETURNING 1)
SELECT count(*) FROM gone

-- name: archive_unchanged
-- The same, moved.
WITH gone AS (DELETE FROM {table} AS t USING (SELECT {key_of_stored} AS key, {stored_fingerprint} AS fingerprint
                                                FROM {place} AS e) AS x
               WHERE t.{key} = x.key AND {in_range} AND {fingerprint} = x.fingerprint AND {goes} RETURNING {columns}),
     kept AS (INSERT INTO {archive} ({names}, archived_by) SELECT {names}, %(run)s FROM gone RETURNING 1)
SELECT count(*) FROM kept

-- name: mark_unchanged
-- The same, marked.
WITH marked AS (UPDATE {table} AS t SET {inactive} = false
                  FROM (SELECT {key_of_stored} AS key, {stored_fingerprint} AS fingerprint FROM {place} AS e) AS x
                 WHERE t.{key} = x.key AND {in_range} AND {fingerprint} = x.fingerprint AND {goes} RETURNING 1)
SELECT count(*) FROM marked

-- name: survivors
-- Of a batch's rows, those that are still there: all, and those that are not as they were exported.
SELECT count(*), count(*) FILTER (WHERE {fingerprint} <> x.fingerprint)
  FROM {table} AS t
  JOIN (SELECT {key_of_stored} AS key, {stored_fingerprint} AS fingerprint FROM {place} AS e) AS x ON t.{key} = x.key
 WHERE {in_range} AND {is_there}

-- name: forget_others
-- Of the rows that were loaded, those that nobody asked for.
DELETE FROM {place} AS t WHERE NOT coalesce({asked}, false)

-- name: present
-- How many of them are in the table.
SELECT (SELECT count(*) FROM {place}), count(*) FROM {table} AS t JOIN {place} AS e ON t.{key} = {key_of_stored}

-- name: restore
-- They come back; rows that came, and rows that were overwritten.
WITH back AS (INSERT INTO {table} AS t ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {place}
              ON CONFLICT ({key}) {on_conflict} RETURNING t.xmax = 0 AS is_new)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM back

-- name: take_out
-- What comes back leaves the archive, first, or it would be there twice.
DELETE FROM {archive} AS a USING {place} AS e WHERE a.{key} = {key_of_stored}
