-- name: pending
-- Notes waiting, counted up to a limit, the keys they carry, and the age in seconds of the oldest note of any partition.
SELECT counted.notes, counted.keys,
       (SELECT extract(epoch FROM clock_timestamp() - min(first.noted_at))::float8
          FROM unnest(%(lanes)s::integer[]) AS l (lane)
         CROSS JOIN LATERAL (SELECT o.noted_at FROM dualwrite.outbox o
                              WHERE o.lane = l.lane
                              ORDER BY o.id LIMIT 1) AS first)
  FROM (SELECT count(*) AS notes, coalesce(sum(1 + coalesce(cardinality(first.others), 0)), 0) AS keys
          FROM (SELECT o.others FROM dualwrite.outbox o
                 WHERE o.lane = ANY (%(lanes)s::integer[]) LIMIT %(limit)s) AS first) AS counted

-- name: estimate
-- How many rows the whole outbox holds by the server's statistics.
SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'dualwrite.outbox'::regclass

-- name: pending_of
-- Which of these keys are waiting.
SELECT DISTINCT waiting.key
  FROM (SELECT unnest(o.key || o.others) AS key FROM dualwrite.outbox o
         WHERE o.lane = ANY (SELECT s.lanes | (hashtextextended(k, 0) & (s.partitions - 1))::int | urgency
                               FROM dualwrite.stream_state s, unnest(%(keys)s::text[]) AS k, unnest('{0,64}'::int[]) AS urgency
                              WHERE s.lanes = %(lanes)s)) AS waiting
 WHERE waiting.key = ANY (%(keys)s::text[])

-- name: note
-- Note keys that somebody named.
INSERT INTO dualwrite.outbox (lane, key, cause)
SELECT s.lanes | (hashtextextended(k, 0) & (s.partitions - 1))::int, k, %(cause)s
  FROM unnest(%(keys)s::text[]) AS k JOIN dualwrite.stream_state s ON s.lanes = %(lanes)s
-- A note's number is drawn only by a transaction that has one itself: see relay/horizon.py.
 WHERE pg_current_xact_id() IS NOT NULL
-- While the number of partitions is changed, wait for the new one: see control/partitions.py.
   FOR SHARE OF s

-- name: pack
-- Note many keys: those of one lane among each 512 together, so about 32 in a note with 16 partitions.
INSERT INTO dualwrite.outbox (lane, key, others, cause)
    SELECT {lanes} | (packed.place & 63)::int, packed.keys[1], nullif(packed.keys[2:], '{{}}'), {cause}
      FROM (SELECT (k.chunk << 6) | (hashtextextended(k.key, 0) & {mask}) AS place, array_agg(k.key) AS keys
              FROM (SELECT noted.key, row_number() OVER () / 512 AS chunk FROM ({keys}) AS noted) AS k
             GROUP BY 1) AS packed

-- name: mask
-- The bits of a key's hash that are its partition.
(SELECT s.partitions - 1 FROM dualwrite.stream_state s WHERE s.stream = {stream})

-- name: counted
-- Note them, and say how many keys it were.
WITH noted AS ({pack} RETURNING 1 + coalesce(cardinality(others), 0) AS keys) SELECT coalesce(sum(keys), 0) FROM noted

-- name: keys_of_blocks
-- The keys in a range of the table's blocks. A row that moves out of the range meanwhile is written, so captured;
-- rewriting the whole table moves rows without writing them, see `file`.
SELECT {key} AS key FROM {table} AS t WHERE t.ctid >= {low}::tid AND t.ctid < {high}::tid AND {is_record}

-- name: hold_still
-- Nobody rewrites the table until the transaction ends.
LOCK TABLE {table} IN ACCESS SHARE MODE

-- name: file
-- The file the table is in; VACUUM FULL, CLUSTER and the like put it into another one.
SELECT pg_relation_filenode({table_name}::regclass)

-- name: highest
-- The newest note of a stream, 0 when none waits.
SELECT coalesce(max(newest.id), 0) FROM generate_series(%(lanes)s, %(lanes)s | 127) AS l (lane)
 CROSS JOIN LATERAL (SELECT o.id FROM dualwrite.outbox o WHERE o.lane = l.lane ORDER BY o.id DESC LIMIT 1) AS newest

-- name: blocks
-- Size of the table in blocks of its server.
SELECT pg_relation_size({table_name}::regclass) / current_setting('block_size')::bigint

-- name: foreign_table
-- Room for the keys that the other store has.
CREATE TEMP TABLE foreign_keys (key text NOT NULL)

-- name: foreign_copy_out
-- Every key the other store has.
COPY (SELECT {key} FROM {table} AS t WHERE {is_record}) TO STDOUT

-- name: foreign_copy_in
-- Take them over.
COPY foreign_keys (key) FROM STDIN

-- name: only_foreign
-- Those of the other store's keys that have no record here. A key that gets or loses its record meanwhile is written, so
-- captured.
SELECT r.key FROM (SELECT f.key, {key_parts} FROM foreign_keys f) AS r
 WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {match} AND {is_record})
