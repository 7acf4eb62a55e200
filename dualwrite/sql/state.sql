-- name: installed
-- Whether the engine's tables are in this database.
SELECT to_regclass('dualwrite.stream_state') IS NOT NULL

-- name: read
-- What this store is for a stream.
SELECT role, epoch, capture, generation, backfilled FROM dualwrite.stream_state WHERE stream = %(stream)s

-- name: exclusive
-- Wait until no writer of the stream is between its first statement and its commit, and keep new ones out.
SELECT pg_advisory_xact_lock(25719, hashtext(%(stream)s))

-- name: blockers
-- Who holds the stream's lock, longest transaction first.
SELECT l.pid, a.usename, a.application_name, round(extract(epoch FROM clock_timestamp() - a.xact_start))::int
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 25719
   AND l.objid::bigint = hashtext(%(stream)s)::bigint & 4294967295
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.pid <> pg_backend_pid()
 ORDER BY a.xact_start NULLS LAST

-- name: begin_capture
-- Note every write from now on, as a new generation that has yet to be backfilled.
UPDATE dualwrite.stream_state SET capture = true, backfilled = false, distrusted = false, generation = generation + 1,
       changed_at = now()
 WHERE stream = %(stream)s AND role = 'authority'
RETURNING generation, epoch

-- name: follow
-- Become the mirror, at least at the authority's epoch.
UPDATE dualwrite.stream_state SET role = 'mirror', capture = false, backfilled = false,
       epoch = greatest(epoch, %(epoch)s), peer_epoch = greatest(peer_epoch, %(epoch)s), changed_at = now()
 WHERE stream = %(stream)s AND role IN ('detached', 'mirror')
RETURNING epoch

-- name: raise_fences
-- From now on every relay that read something before is refused.
UPDATE dualwrite.relay_fence SET epoch = epoch + 1, holder = NULL WHERE stream = %(stream)s

-- name: still_generation
-- Whether this store is the authority in that generation; locked until the transaction ends.
SELECT FROM dualwrite.stream_state
 WHERE stream = %(stream)s AND role = 'authority' AND capture AND generation = %(generation)s FOR SHARE

-- name: backfilled
-- Every key of this generation has been noted.
UPDATE dualwrite.stream_state SET backfilled = true, changed_at = now()
 WHERE stream = %(stream)s AND role = 'authority' AND capture AND generation = %(generation)s

-- name: audit
-- Add a line to this store's audit.
INSERT INTO dualwrite.audit (actor, verb, stream, reason, before, after, evidence)
VALUES (%(actor)s, %(verb)s, %(stream)s, %(reason)s, %(before)s, %(after)s, %(evidence)s)

-- name: void
-- Every stream counts as backfilled and verified only after it is enabled again.
UPDATE dualwrite.stream_state SET backfilled = false, generation = generation + 1, changed_at = now()
 WHERE role = 'authority' AND capture

-- name: pair
-- Remember the other store, in place of the one known so far.
UPDATE dualwrite.store_identity SET peer_identity = %(peer)s::uuid WHERE peer_identity IS NOT DISTINCT FROM %(known)s::uuid

-- name: identity
-- This store's identity and its peer's as remembered here.
SELECT identity::text, peer_identity::text FROM dualwrite.store_identity
