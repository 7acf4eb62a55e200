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

-- name: clock
-- The server's clock, not the time at which the transaction began.
SELECT clock_timestamp()

-- name: begin_reading
-- What follows sees one moment, and cannot write.
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: survey
-- One pass: rows of the table, those that are old enough, those of them that go, and the ends of their dates.
SELECT count(*), count(*) FILTER (WHERE s.old), count(*) FILTER (WHERE s.goes),
       (min(s.age) FILTER (WHERE s.goes))::text, (max(s.age) FILTER (WHERE s.goes))::text,
       pg_table_size(to_regclass(%(table)s))
  FROM (SELECT {date} AS age, coalesce({old}, false) AS old, coalesce({goes}, false) AS goes FROM {table} AS t) AS s

-- name: examples
-- The oldest rows that go.
SELECT t.{key}::text, ({date})::text FROM {table} AS t WHERE {goes} ORDER BY {date}, t.{key} LIMIT %(limit)s

-- name: holds
-- What is held of a table now.
SELECT h.name, h.value FROM dualwrite_legal_hold AS h
 WHERE h."table" = %(subject)s AND h.released_at IS NULL AND (h.until IS NULL OR h.until > now())
 ORDER BY 1, 2

-- name: try_value
-- Whether the server takes the value for a column of that type.
SELECT %(value)s::{type}

-- name: moment
-- Below which number every transaction had ended before this snapshot, from which on none had begun, and of which cluster
-- that is said.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, pg_snapshot_xmax(pg_current_snapshot())::text,
       (pg_control_system()).system_identifier::text

-- name: still_that_cluster
-- Whether transactions are still counted as when the rows were exported: in the same cluster, and not so long ago that
-- numbers could have begun anew.
SELECT (pg_control_system()).system_identifier::text = %(system)s
       AND pg_snapshot_xmax(pg_current_snapshot())::text::numeric - %(snapshot)s::numeric BETWEEN 0 AND 1500000000

-- name: batches
-- The rows that go, in ranges of keys: ends and count; where no backup is made.
SELECT min(q.key)::text, max(q.key)::text, count(*)
  FROM (SELECT t.{key} AS key, (row_number() OVER (ORDER BY t.{key}) - 1) / %(batch_size)s AS batch
          FROM {table} AS t WHERE {goes}) AS q
 GROUP BY q.batch ORDER BY q.batch

-- name: export
-- The rows that go, as text that the server reads back as it was.
COPY (SELECT {columns} FROM {table} AS t WHERE {goes} ORDER BY t.{key}) TO STDOUT

-- name: begin_batch
-- Whoever adds or changes a hold of the table waits until this transaction has ended (the trigger of that table). The
-- transaction has its number from here on: the age of a row version is counted from it.
SELECT pg_advisory_xact_lock_shared(25723, hashtext(%(subject)s)), pg_current_xact_id()

-- name: delete
-- Rows of a batch go. Here and in the next ones: how many, and how many of them are where they belong now.
WITH gone AS (DELETE FROM {table} AS t WHERE {in_range} AND {goes} AND {exported} RETURNING 1)
SELECT count(*), count(*) FROM gone

-- name: archive
-- Rows of a batch move, in one statement: nobody sees a row twice or not at all.
WITH gone AS (DELETE FROM {table} AS t WHERE {in_range} AND {goes} AND {exported} RETURNING {columns}),
     kept AS (INSERT INTO {archive} ({names}, archived_by) SELECT {names}, %(run)s FROM gone RETURNING 1)
SELECT (SELECT count(*) FROM gone), count(*) FROM kept

-- name: mark_inactive
-- Rows of a batch are marked.
WITH marked AS (UPDATE {table} AS t SET {inactive} = false WHERE {in_range} AND {goes} AND {exported} RETURNING 1)
SELECT count(*), count(*) FROM marked

-- name: receive
-- A table for rows of a backup, with the columns' types and none of their rules.
CREATE TEMPORARY TABLE {place} ({definitions}) ON COMMIT DROP

-- name: load
-- Rows of a backup, as they were exported.
COPY {place} ({names}) FROM STDIN

-- name: send_back
-- The same rows, in the order in which they came.
COPY (SELECT {columns} FROM {place} AS t ORDER BY t.ctid) TO STDOUT

-- name: survivors
-- Of a batch's rows, those that are still there, and those of them that are not as they were exported.
SELECT count(*), count(*) FILTER (WHERE NOT ({as_exported}))
  FROM {table} AS t JOIN {place} AS e ON t.{key} = e.{key}
 WHERE {in_range} AND {is_there}

-- name: forget_others
-- Of the rows that were loaded, those that nobody asked for.
DELETE FROM {place} AS t WHERE NOT coalesce({asked}, false)

-- name: present
-- How many of them are in the table.
SELECT (SELECT count(*) FROM {place}), count(*) FROM {table} AS t JOIN {place} AS e ON t.{key} = e.{key}

-- name: restore
-- They come back; rows that came, and rows that were overwritten.
WITH back AS (INSERT INTO {table} AS t ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {place}
              ON CONFLICT ({key}) {on_conflict} RETURNING t.xmax = 0 AS is_new)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM back

-- name: take_out
-- What comes back leaves the archive, first, or it would be there twice; what another run put there stays.
WITH same AS (SELECT a.{key} AS key, a.archived_by = ANY(%(runs)s) AS mine
                FROM {archive} AS a JOIN {place} AS e ON a.{key} = e.{key}
               WHERE NOT (%(skip)s AND EXISTS (SELECT FROM {table} AS t WHERE t.{key} = a.{key}))),
     out AS (DELETE FROM {archive} AS a USING same AS s WHERE a.{key} = s.key AND s.mine)
SELECT count(*) FROM same WHERE mine IS NOT TRUE
