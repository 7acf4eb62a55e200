-- name: applied
-- Keys applied to this store so far, and when the last one was.
SELECT coalesce(sum(applied), 0)::bigint, extract(epoch FROM clock_timestamp() - max(applied_at))::float8
  FROM dualwrite.relay_fence WHERE stream = %(stream)s
