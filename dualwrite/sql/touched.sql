-- name: applied_at
-- When a key was last applied here, of what no validation has looked at since; NULL when it was not.
SELECT max(applied_at) FROM dualwrite.touched WHERE stream = %(stream)s AND keys @> ARRAY[%(key)s]

-- name: dropped
-- Where more keys wait for a validation than it would look at one by one, keep only that there were too many.
WITH dropped AS (
    DELETE FROM dualwrite.touched
     WHERE stream = %(stream)s
       AND (SELECT sum(number) FROM dualwrite.touched WHERE stream = %(stream)s) > %(most)s
    RETURNING 1)
INSERT INTO dualwrite.touched (stream, keys, number) SELECT %(stream)s, NULL, 0 WHERE EXISTS (SELECT FROM dropped)

-- name: waiting
-- What waits for a validation: rows, keys, and whether some were dropped.
SELECT coalesce(array_agg(id), '{}'), coalesce(sum(number), 0), coalesce(bool_or(keys IS NULL), false)
  FROM dualwrite.touched WHERE stream = %(stream)s

-- name: keys
-- The different keys of these rows.
SELECT DISTINCT unnest(keys) FROM dualwrite.touched WHERE stream = %(stream)s AND id = ANY (%(ids)s)

-- name: looked_at
-- Remove exactly these rows: one that was added meanwhile may have a lower number.
DELETE FROM dualwrite.touched WHERE stream = %(stream)s AND id = ANY (%(ids)s)

-- name: look_again
-- Keys that did not turn out equal are to be looked at by the next validation, too; NULL: all there are.
INSERT INTO dualwrite.touched (stream, keys, number, applied_at)
VALUES (%(stream)s, %(keys)s::text[], coalesce(cardinality(%(keys)s::text[]), 0), NULL)

-- name: late
-- Keys that have waited for so long to be relayed, up to a number of them.
SELECT DISTINCT late.key
  FROM (SELECT unnest(o.key || o.others) AS key FROM dualwrite.outbox AS o
         WHERE o.lane BETWEEN %(lanes)s AND %(lanes)s | 127
           AND o.noted_at < clock_timestamp() - make_interval(secs => %(seconds)s)
         LIMIT %(most)s) AS late
