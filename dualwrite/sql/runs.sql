-- name: take
-- Be the only run of that name in this database, for as long as the session lives; false when another one is.
SELECT pg_try_advisory_lock(%(lock)s, hashtext(%(name)s))

-- name: release
-- Run no more.
SELECT pg_advisory_unlock_all()

-- name: own
-- This session. Its number is given to another one when it has ended; number and beginning together never are.
SELECT a.pid, a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()

-- name: holder
-- The session that holds the lock of that name, on whatever machine its process is. When it began is not shown to a role
-- that may not know.
SELECT l.pid, a.backend_start FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %(lock)s
   AND l.objid::bigint = hashtext(%(name)s)::bigint & 4294967295 AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: report
-- Tell how far the run is; returns who asked it to stop, and no row when it is closed.
UPDATE {table} SET progress = %(progress)s WHERE id = %(run)s AND status = 'running' RETURNING cancel_asked_by

-- name: asked
-- Who asked the run to stop; no row when it is closed.
SELECT cancel_asked_by FROM {table} WHERE id = %(run)s AND status = 'running'

-- name: load
-- Sessions of the whole server that are in a transaction, the engine's own left out. Every role may see these locks,
-- whereas what a session of another role does is shown to few.
SELECT count(*) FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
 WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
   AND coalesce(a.application_name, '') NOT LIKE 'dualwrite %'
