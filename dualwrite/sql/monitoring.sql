-- name: server
-- Which server it is, and whether it takes writes.
SELECT current_setting('server_version'), current_database(), current_setting('transaction_read_only')::boolean

-- name: partitions_held
-- On the authority: how many of these partitions a living session has taken for relaying.
SELECT count(*)
  FROM unnest(%(names)s::text[]) AS wanted (name)
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = 25720 AND l.objsubid = 2
       AND l.objid::bigint = hashtext(wanted.name)::bigint & 4294967295
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  JOIN pg_stat_activity a USING (pid)

-- name: holders
-- On the mirror: which relays hold its fences, as host:process.
SELECT DISTINCT holder FROM dualwrite.relay_fence WHERE stream = %(stream)s AND holder IS NOT NULL ORDER BY holder
