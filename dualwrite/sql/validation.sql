-- name: settings
-- For this transaction: digests stay in memory, one process for each store, and no session that a standing program left.
SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('idle_in_transaction_session_timeout', '30min', true)

-- name: hold_still
-- Nobody rewrites or empties the table until the transaction ends. Taken before the snapshot is.
LOCK TABLE {table} IN ACCESS SHARE MODE

-- name: size
-- The instant of the snapshot, the table's blocks, and about how many rows it has.
SELECT clock_timestamp(), pg_relation_size(c.oid) / current_setting('block_size')::bigint,
       CASE WHEN c.reltuples >= 0 AND c.relpages > 0
            THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint)
            ELSE pg_relation_size(c.oid) / 100 END::bigint
  FROM pg_class AS c WHERE c.oid = {table_name}::regclass

-- name: native_text
-- A link of the chain: a value into the hash of what came before. The word for NULL is made anew for each run, so that
-- no value can be it. COLLATE "C": by bytes, and whatever the collations of the columns are.
hashtextextended(coalesce({value}, {nothing}) COLLATE "C", {seed})

-- name: native_date
-- The same for a date, by its day: the two days that cannot be stand for NULL and beginning of all time.
hashint4extended(CASE WHEN isfinite({value}) THEN {value} - DATE '2000-01-01' WHEN {value} IS NULL THEN -2147483648
                      WHEN {value} > DATE '2000-01-01' THEN 2147483647 ELSE -2147483647 END, {seed})

-- name: native_key_part
-- A link of the key's chain; NULL makes the whole chain NULL.
hashtextextended(({value})::text COLLATE "C", {seed})

-- name: native_key
-- The hash of the key; of its text where a part is NULL.
coalesce({chain}, hashtextextended({key} COLLATE "C", 0))

-- name: md5_key
-- The hash of the key where servers hash differently; by the bytes of one encoding.
('x' || substr(md5(convert_to({key}, 'UTF8')), 1, 16))::bit(64)::bigint

-- name: md5_row
-- The hash of the row: of a text that no two rows share, begun with a word made anew for each run.
('x' || substr(md5(convert_to(ROW({nothing}, {seed}, {values})::text, 'UTF8')), 1, 16))::bit(64)::bigint

-- name: digest
-- Per bucket of keys: how many rows, and the sum of their hashes. OFFSET 0 keeps the key's hash from being made twice.
SELECT ((z.kh & {mask})::int4), count(*), sum({row_hash})::text
  FROM (SELECT {key_hash} AS kh{values} FROM {table} AS t WHERE {is_record} AND {within} OFFSET 0) AS z
 GROUP BY 1

-- name: digest_of_all
-- The same of all rows in one: without groups it takes half the time.
SELECT 0::int4, count(*), coalesce(sum({row_hash}), 0)::text
  FROM (SELECT {key_hash} AS kh{values} FROM {table} AS t WHERE {is_record} AND {within}) AS z

-- name: read_as_they_are
-- No row: only how the server describes these values, for a number how many digits its column keeps.
SELECT {values} FROM {table} AS t LIMIT 0

-- name: blocks
-- The rows of some blocks.
t.ctid >= {low}::tid AND t.ctid < {high}::tid

-- name: blocks_on
-- The rows from a block on.
t.ctid >= {low}::tid

-- name: at_least
-- The rows whose key hash is not below; an index on the same expression serves.
{key_hash} >= {low}

-- name: at_most
-- The rows whose key hash is not above.
{key_hash} <= {high}

-- name: in_buckets
-- The rows of some buckets.
(({key_hash} & {mask})::int4) = ANY ({buckets}::int4[])

-- name: hashed_rows
-- Key hash, row hash, key and values of rows, in an order both stores agree on whatever their collations.
SELECT {key_hash}, {row_hash}, {key}, {values} FROM {table} AS t WHERE {is_record} AND {within} ORDER BY 1, 2

-- name: hashed_rows_of_keys
-- The same of named keys, in no order, found through the store's own index. The keys come as one JSON array of arrays:
-- the driver takes as long to write an array of thousands of texts as the server to find their rows. OFFSET 0: each key
-- is taken apart once.
SELECT {key_hash}, {row_hash}, r.key, {values}
  FROM (SELECT k::text AS key, {key_parts} FROM json_array_elements({keys}) AS k OFFSET 0) AS r
  JOIN {table} AS t ON {match} AND {is_record}
 WHERE {within}

-- name: hashed_rows_by_key_text
-- The same of keys that no column can be compared with, since a part is NULL.
SELECT {key_hash}, {row_hash}, {key}, {values}
  FROM {table} AS t
 WHERE {key} IN (SELECT k::text FROM json_array_elements({keys}) AS k) AND {is_record} AND {within}

-- name: in_order
-- Such rows in the order in which both stores' are merged.
SELECT * FROM ({rows}) AS h ORDER BY 1, 2

-- name: digest_of_rows
-- Of such rows how many there are, and the sum of their hashes.
SELECT count(*), coalesce(sum(h.row_hash), 0)::text FROM ({rows}) AS h (key_hash, row_hash, key, values)

-- name: records
-- The present rows of some keys: key, values as compared, version, and the fields by name, as text.
SELECT r.key, {values} AS compared, t.xmin::text::bigint AS version,
       (SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(to_jsonb(f)) AS v) AS shown
  FROM (SELECT k AS key, {key_parts} FROM unnest(%(keys)s::text[]) AS k) AS r
  JOIN {table} AS t ON {match} AND {is_record}
 CROSS JOIN LATERAL (SELECT {record}) AS f

-- name: records_by_key_text
-- The same for keys that no column can be compared with, since a part is NULL.
SELECT {key} AS key, {values} AS compared, t.xmin::text::bigint AS version,
       (SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(to_jsonb(f)) AS v) AS shown
  FROM {table} AS t CROSS JOIN LATERAL (SELECT {record}) AS f
 WHERE {key} = ANY (%(keys)s::text[]) AND {is_record}

-- name: of_each
-- Of these rows, for each key: how many, digests of their values and of their versions, and the first of them.
-- md5 of one encoding: both stores must come to the same digest, and put rows in the same order.
SELECT z.key, count(*), sum(z.hash)::text, sum(hashint8extended(z.version, z.hash))::text,
       (json_agg(z.compared ORDER BY z.place) FILTER (WHERE z.place <= %(compared)s))::text,
       (json_agg(z.shown ORDER BY z.place) FILTER (WHERE z.place <= %(shown)s))::text
  FROM (SELECT y.key, y.hash, y.version, row_number() OVER each AS place,
               CASE WHEN row_number() OVER each <= %(compared)s THEN y.compared END AS compared,
               CASE WHEN row_number() OVER each <= %(shown)s THEN y.shown END AS shown
          FROM (SELECT x.*, ('x' || substr(md5(convert_to(x.compared::text, 'UTF8')), 1, 16))::bit(64)::bigint AS hash
                  FROM ({rows}) AS x) AS y
        WINDOW each AS (PARTITION BY y.key ORDER BY y.hash)) AS z
 GROUP BY z.key

-- name: waiting
-- Which of these keys wait in the outbox: their first note, its age, and the first note of the key's lane.
SELECT waiting.key, min(waiting.id), extract(epoch FROM clock_timestamp() - min(waiting.noted_at))::float8,
       (SELECT o.id FROM dualwrite.outbox o WHERE o.lane = waiting.lane ORDER BY o.id LIMIT 1)
  FROM (SELECT unnest(o.key || o.others) AS key, o.id, o.lane, o.noted_at FROM dualwrite.outbox o
         WHERE o.lane = ANY (SELECT s.lanes | (hashtextextended(k, 0) & (s.partitions - 1))::int | urgency
                               FROM dualwrite.stream_state s, unnest(%(keys)s::text[]) AS k, unnest('{0,64}'::int[]) AS urgency
                              WHERE s.lanes = %(lanes)s)) AS waiting
 WHERE waiting.key = ANY (%(keys)s::text[])
 GROUP BY waiting.key, waiting.lane

-- name: probe
-- Hashes of values that any two servers must hash alike before their hashes are compared, and how texts are encoded.
SELECT array_agg(({hash})::text ORDER BY v.number) || current_setting('server_encoding')
  FROM (VALUES (1, 'NSE:"a|b",\', 1.5::numeric, DATE '1999-12-31'), (2, NULL, -0.000001, 'infinity'),
               (3, '', 'NaN', NULL), (4, repeat('long', 100), 123456789012345678901234567890, '-infinity'),
               (5, ' ', NULL, '0044-03-15 BC')) AS v (number, text, amount, day)
