-- name: installation
-- What is recorded as installed for a stream.
SELECT version, fingerprint FROM dualwrite.installation WHERE stream = %(stream)s

-- name: partitions_held
-- On the authority: how many of these partitions a living session has taken for relaying.
SELECT count(*)
  FROM unnest(%(names)s::text[]) AS wanted (name)
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = 25720 AND l.objsubid = 2
       AND l.objid::bigint = hashtext(wanted.name)::bigint & 4294967295
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: touchable
-- The first of the columns that this role may update; no row when it may update none.
SELECT c.name FROM unnest({columns}::text[]) WITH ORDINALITY AS c (name, turn)
 WHERE has_column_privilege({table_name}::regclass, c.name, 'UPDATE') ORDER BY c.turn LIMIT 1

-- name: pick
-- Any record that nobody has locked, locked for this transaction only against other writers of the same row.
SELECT t.ctid::text, {key} FROM {table} AS t WHERE {is_record} AND {whole_key}
 LIMIT 1 FOR NO KEY UPDATE OF t SKIP LOCKED

-- name: touch
-- Write a column as it is; fires the triggers, changes nothing.
UPDATE {table} AS t SET {column} = t.{column} WHERE t.ctid = {ctid}::tid

-- name: noted_here
-- Whether this very transaction has noted the key, in its lane.
SELECT EXISTS (SELECT FROM dualwrite.outbox o
                WHERE o.lane = ANY (SELECT s.lanes | (hashtextextended(%(key)s, 0) & (s.partitions - 1))::int | urgency
                                    FROM dualwrite.stream_state s, unnest('{0,64}'::int[]) AS urgency WHERE s.lanes = %(lanes)s)
                  AND %(key)s = ANY (o.key || o.others)
                  AND o.xmin = pg_current_xact_id()::xid)

-- name: some_keys
-- Keys of a few records.
SELECT {key} FROM {table} AS t WHERE {is_record} AND {whole_key} LIMIT {count}

-- name: still_waits
-- Whether a note of the key alone, as one named by hand is, waits that is not younger than the given one.
SELECT EXISTS (SELECT FROM dualwrite.outbox o
                WHERE o.lane = ANY (SELECT s.lanes | (hashtextextended(%(key)s, 0) & (s.partitions - 1))::int | urgency
                                    FROM dualwrite.stream_state s, unnest('{0,64}'::int[]) AS urgency WHERE s.lanes = %(lanes)s)
                  AND o.key = %(key)s AND o.id <= %(newest)s)

-- name: unwritable
-- Columns the relay would write that are not there, or take no value.
SELECT w.name, CASE WHEN a.attname IS NULL THEN 'does not exist' WHEN a.attgenerated <> '' THEN 'is generated'
                    ELSE 'is an identity column that takes no value' END
  FROM unnest({written}::text[]) AS w (name)
  LEFT JOIN pg_attribute a ON a.attrelid = {table_name}::regclass AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
 WHERE a.attname IS NULL OR a.attgenerated <> '' OR a.attidentity = 'a'

-- name: unwritten
-- Columns that must have a value, which nothing gives: not the relay, no default, no identity.
SELECT a.attname FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
 WHERE a.attrelid = {table_name}::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND (a.attnotnull OR y.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND y.typdefault IS NULL
   AND a.attname <> ALL ({written}::text[])
 ORDER BY a.attnum

-- name: unique
-- What must be unique in the table.
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
 WHERE i.indrelid = {table_name}::regclass AND i.indisunique ORDER BY 1

-- name: share
-- The percentage of the table that holds about the wanted number of rows, by statistics; 100 where there are none.
SELECT least(100, 120.0 * {rows} / greatest(c.reltuples, 1))::float8 FROM pg_class c WHERE c.oid = {table_name}::regclass

-- name: sample_table
-- Room for some canonical records, counted from 1.
CREATE TEMP TABLE {sample} (ordinal integer GENERATED ALWAYS AS IDENTITY, key text NOT NULL, {key_definitions}, {definitions}) ON COMMIT DROP

-- name: sample_out
-- Some records of the mirror, from anywhere in the table.
COPY (SELECT {key}, {key_values}, {record} FROM {table} AS t TABLESAMPLE SYSTEM ({percent})
       WHERE {is_record} AND {whole_key} LIMIT {rows}) TO STDOUT

-- name: sample_in
-- Take them over.
COPY {sample} (key, {key_names}, {field_names}) FROM STDIN

-- name: trial_table
-- A table like the real one, in this session only and gone with the transaction: without indexes, triggers and identity.
CREATE TEMP TABLE {trial} (LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS) ON COMMIT DROP

-- name: drawn
-- Columns the relay does not write that draw a number, or must have a value which nothing gives here.
SELECT a.attname FROM pg_attribute a
 WHERE a.attrelid = {table_name}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   AND a.attname <> ALL ({written}::text[])
   AND (a.attidentity <> '' OR (a.attnotnull AND NOT a.atthasdef)
        OR EXISTS (SELECT FROM pg_attrdef f
                     JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
                     JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S'
                    WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum))

-- name: leave_empty
-- The trial draws no numbers.
ALTER TABLE {trial} ALTER COLUMN {column} DROP DEFAULT, ALTER COLUMN {column} DROP NOT NULL

-- name: write_trial
-- The records numbered low to high, written as the relay would insert them.
INSERT INTO {trial} ({columns}) SELECT {values} FROM {sample} AS r WHERE r.ordinal BETWEEN {low} AND {high}

-- name: key_at
-- The key numbered so.
SELECT key FROM {sample} WHERE ordinal = {ordinal}

-- name: not_inverted
-- Records that do not read back as they were written: found by their key exactly once, with the same key and fields.
SELECT r.key FROM {sample} AS r LEFT JOIN {trial} AS t ON {match} AND {is_record}
 WHERE r.key <> ALL ({refused}::text[])
 GROUP BY r.key
HAVING count(t.ctid) <> 1 OR NOT bool_and({key} = r.key AND {same})
 ORDER BY r.key COLLATE "C"
