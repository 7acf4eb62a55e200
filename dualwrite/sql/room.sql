-- name: unique_columns
-- Of each unique index or exclusion constraint that has a column which the relay changes: those of these columns that
-- may be NULL. None of an index over an expression, as it cannot be told what that makes of a NULL.
SELECT coalesce(array_agg(a.attname::text) FILTER (WHERE NOT a.attnotnull AND i.indexprs IS NULL AND NOT i.indnullsnotdistinct), '{{}}')
  FROM pg_index i
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND a.attname = ANY ({written}::text[])
 WHERE i.indrelid = {table_name}::regclass AND (i.indisunique OR i.indisexclusion)
 GROUP BY i.indexrelid, i.indexprs
HAVING count(a.attname) > 0 OR i.indexprs IS NOT NULL

-- name: vacate
-- The rows let their unique values go.
UPDATE {table} AS t SET {assignments} FROM {staged} AS r WHERE {match}

-- name: may_take_out
-- Whether nobody else notices that a row is taken out and put back.
SELECT NOT EXISTS (SELECT FROM pg_constraint c
                    WHERE c.contype = 'f' AND c.confrelid = {table_name}::regclass AND c.confdeltype IN ('c', 'n', 'd'))
   AND NOT EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
                    WHERE g.tgrelid = {table_name}::regclass AND NOT g.tgisinternal AND g.tgtype & 8 <> 0 AND g.tgenabled <> 'D'
                      AND p.pronamespace <> 'dualwrite'::regnamespace)
   AND NOT EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = {table_name}::regclass)

-- name: taken_out_table
-- Whole rows, with every column that is the mirror's own.
CREATE TEMP TABLE {taken_out} (LIKE {table}) ON COMMIT DROP

-- name: take_out
-- Take the rows out.
WITH gone AS (DELETE FROM {table} AS t USING {staged} AS r WHERE {match} AND {is_record} RETURNING t.*)
INSERT INTO {taken_out} SELECT * FROM gone

-- name: leave_out_absent
-- What the authority no longer has is not put back.
DELETE FROM {taken_out} AS t USING {staged} AS r WHERE {match} AND NOT r.present

-- name: change_taken_out
-- The rows get what was sent.
UPDATE {taken_out} AS t SET {assignments} FROM {staged} AS r WHERE {match}

-- name: columns
-- Columns of the table that can be given a value.
SELECT attname::text FROM pg_attribute
 WHERE attrelid = {table_name}::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum

-- name: put_back
-- The rows, as changed, with the identity they had.
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {theirs} FROM {taken_out} AS t JOIN {staged} AS r ON {match}

-- name: keys
-- The keys that are staged.
SELECT key FROM {staged}

-- name: one
-- One staged record.
(SELECT * FROM {staged} WHERE key = {key})
