-- name: applied
-- Keys applied to this store so far, and when the last one was.
SELECT coalesce(sum(applied), 0)::bigint, extract(epoch FROM clock_timestamp() - max(applied_at))::float8
  FROM dualwrite.relay_fence WHERE stream = %(stream)s

-- name: run_alive
-- Whether somebody holds the lock of this run, on whatever machine.
SELECT EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock)s
                  AND l.objid::bigint = hashtext(%(name)s)::bigint & 4294967295
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
