-- name: rows
-- The canonical rows of one store, each as its key and a text that is equal exactly when the record is.
SELECT {key} AS key, ROW({canonical})::text AS content FROM {table} AS t WHERE {is_record}

-- name: digest
-- Per bucket of keys: how many rows, and the sum of 64 bits of each row's md5. One statement, so one snapshot.
SELECT hashed.bucket, count(*), sum(hashed.digest) FROM (
    SELECT ('x' || substr(md5(r.key), 1, 4))::bit(16)::int & {mask} AS bucket,
           ('x' || substr(md5(ROW(r.key, r.content)::text), 1, 16))::bit(64)::bigint::numeric AS digest
      FROM ({rows}) AS r) AS hashed
 GROUP BY hashed.bucket

-- name: bucket_rows
-- Keys and row digests of some buckets, in an order both stores agree on whatever their collations.
SELECT b.hash, b.key, b.digest
  FROM (SELECT md5(r.key) AS hash, r.key, md5(r.content) AS digest FROM ({rows}) AS r) AS b
 WHERE ('x' || substr(b.hash, 1, 4))::bit(16)::int & {mask} = ANY ({buckets}::int[])
 ORDER BY b.hash COLLATE "C", b.key COLLATE "C", b.digest COLLATE "C"

-- name: records
-- The present rows of some keys: key, content, version, and the fields by name, as text.
SELECT r.key, ROW({canonical})::text, t.xmin::text,
       (SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(to_jsonb(f)) AS v)::text
  FROM (SELECT k AS key, {key_parts} FROM unnest(%(keys)s::text[]) AS k) AS r
  JOIN {table} AS t ON {match} AND {is_record}
 CROSS JOIN LATERAL (SELECT {record}) AS f


-- name: records_by_key_text
-- The same for keys that no column can be compared with, since a part is NULL.
SELECT {key}, ROW({canonical})::text, t.xmin::text,
       (SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(to_jsonb(f)) AS v)::text
  FROM {table} AS t CROSS JOIN LATERAL (SELECT {record}) AS f
 WHERE {key} = ANY (%(keys)s::text[]) AND {is_record}

