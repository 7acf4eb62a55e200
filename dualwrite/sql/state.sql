-- name: installed
-- Whether the engine's tables are in this database.
SELECT to_regclass('dualwrite.stream_state') IS NOT NULL

-- name: read
-- What this store is for a stream.
SELECT role, epoch, capture, generation, backfilled, distrusted, partitions FROM dualwrite.stream_state WHERE stream = %(stream)s

-- name: exclusive
-- Wait until no writer of the stream is between its first statement and its commit, and keep new ones out.
SELECT pg_advisory_xact_lock(25719, hashtext(%(stream)s))

-- name: exclusive_session
-- The same until the session ends.
SELECT pg_advisory_lock(25719, hashtext(%(stream)s))

-- name: image
-- The whole row, locked until the transaction ends.
SELECT to_jsonb(s) FROM dualwrite.stream_state s WHERE stream = %(stream)s FOR UPDATE

-- name: under_way
-- Whether somebody holds the stream's lock alone. Asked without queueing for it, which would hold up writers.
SELECT EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.classid = 25719
                  AND l.objid::bigint = hashtext(%(stream)s)::bigint & 4294967295
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))

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
UPDATE dualwrite.stream_state SET role = 'mirror', capture = false, backfilled = false, distrusted = false,
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

-- name: end_capture
-- Note nothing from now on; whatever was proven counts no longer.
UPDATE dualwrite.stream_state SET capture = false, backfilled = false, generation = generation + 1, changed_at = now()
 WHERE stream = %(stream)s AND role = 'authority'

-- name: detach
-- Be no part of the stream any more.
UPDATE dualwrite.stream_state SET role = 'detached', changed_at = now() WHERE stream = %(stream)s AND role = 'mirror'

-- name: step
-- A step of a switch and its line in the audit, in one statement: writers wait for each round trip. The row is locked
-- first, so that what the audit calls the row before is the one that was changed.
WITH before AS (SELECT s.stream, to_jsonb(s) AS image FROM dualwrite.stream_state s WHERE s.stream = %(stream)s FOR UPDATE),
     changed AS ({change}
                 RETURNING s.stream, s.role, s.epoch, s.capture, s.generation, s.backfilled, s.distrusted, s.partitions,
                           to_jsonb(s) AS image),
     audited AS (INSERT INTO dualwrite.audit (actor, verb, stream, reason, before, after)
                 SELECT %(actor)s, %(verb)s, %(stream)s, %(reason)s, before.image, changed.image FROM before, changed)
     {also}
SELECT role, epoch, capture, generation, backfilled, distrusted, partitions FROM changed

-- name: and_raise_fences
-- With the step, and only if it was taken: every relay that read something before is refused.
, raised AS (UPDATE dualwrite.relay_fence AS f SET epoch = f.epoch + 1, holder = NULL FROM changed WHERE f.stream = changed.stream)

-- name: fence
-- Take no more writes, as the first step of a new epoch. Only a complete backfill makes the other store fit to follow.
UPDATE dualwrite.stream_state AS s SET role = 'fenced', epoch = s.epoch + 1, changed_at = now() FROM before
 WHERE s.stream = before.stream AND s.role = 'authority' AND s.capture AND s.backfilled

-- name: drained
-- One statement, so one snapshot: fenced in this epoch, and nothing left to relay.
SELECT EXISTS (SELECT FROM dualwrite.stream_state WHERE stream = %(stream)s AND role = 'fenced' AND epoch = %(epoch)s)
   AND NOT EXISTS (SELECT FROM dualwrite.outbox WHERE lane BETWEEN %(lanes)s AND %(lanes)s | 127)

-- name: promote
-- Take the writes and note them, as what was drained is complete. Refused when the epoch was burnt, or is over, and where
-- somebody may have written unseen.
UPDATE dualwrite.stream_state AS s SET role = 'authority', epoch = %(epoch)s, capture = true, backfilled = true,
       generation = s.generation + 1, peer_epoch = greatest(s.peer_epoch, %(epoch)s), changed_at = now()
  FROM before
 WHERE s.stream = before.stream AND s.role = 'mirror' AND s.epoch < %(epoch)s AND NOT s.distrusted

-- name: demote
-- Follow from now on. The epoch stays: it is that of the switch.
UPDATE dualwrite.stream_state AS s SET role = 'mirror', capture = false, backfilled = false,
       peer_epoch = greatest(s.peer_epoch, %(seen)s), changed_at = now()
  FROM before
 WHERE s.stream = before.stream AND s.role = 'fenced' AND s.epoch = %(epoch)s

-- name: burn
-- Take the epoch, staying the mirror: no promotion with it can succeed any more.
UPDATE dualwrite.stream_state SET epoch = %(epoch)s, peer_epoch = greatest(peer_epoch, %(epoch)s), changed_at = now()
 WHERE stream = %(stream)s AND role = 'mirror' AND epoch < %(epoch)s

-- name: revert
-- Take writes again.
UPDATE dualwrite.stream_state SET role = 'authority', peer_epoch = greatest(peer_epoch, %(epoch)s), changed_at = now()
 WHERE stream = %(stream)s AND role = 'fenced' AND epoch = %(epoch)s

-- name: sequences
-- Those of the columns that draw from a sequence of their own, and the number it gave out last.
SELECT c, s, pg_sequence_last_value(s::regclass)
  FROM unnest({columns}::text[]) AS c (c) CROSS JOIN LATERAL pg_get_serial_sequence({table_name}, c) AS s (s)
 WHERE s IS NOT NULL

-- name: sequence_take_over
-- Go on behind the numbers given out by the other store, or behind those in the column; never back.
SELECT setval({sequence}::regclass, t.target)
  FROM (SELECT greatest(coalesce({known}::bigint, (SELECT max({column})::bigint FROM {table})),
                        pg_sequence_last_value({sequence}::regclass)) AS target) AS t
 WHERE t.target IS NOT NULL

-- name: audit
-- Add a line to this store's audit.
INSERT INTO dualwrite.audit (actor, verb, stream, reason, before, after, evidence)
VALUES (%(actor)s, %(verb)s, %(stream)s, %(reason)s, %(before)s, %(after)s, %(evidence)s)

-- name: pair
-- Remember the other store, in place of the one known so far.
UPDATE dualwrite.store_identity SET peer_identity = %(peer)s::uuid, peer_place = %(place)s::jsonb
 WHERE peer_identity IS NOT DISTINCT FROM %(known)s::uuid

-- name: identity
-- This store's identity and its peer's as remembered here; then whatever only grows here, and how far it is known here to
-- have grown in the other store. One statement, so one snapshot.
SELECT i.identity::text, i.peer_identity::text,
       coalesce(pg_sequence_last_value('dualwrite.outbox_id_seq'), 0) AS noted,
       (SELECT coalesce(max(f.peer_noted), 0) FROM dualwrite.relay_fence f) AS peer_noted,
       jsonb_build_object(
           'place', jsonb_build_object(
               'database', (SELECT d.oid::text FROM pg_database d WHERE d.datname = current_database()),
               'outbox', 'dualwrite.outbox'::regclass::oid::text),
           'peer_place', i.peer_place,
           'streams', (SELECT jsonb_object_agg(s.stream, to_jsonb(s)) FROM dualwrite.stream_state s),
           'applied', (SELECT jsonb_object_agg(f.stream || '/' || f.partition, f.applied)
                         FROM dualwrite.relay_fence f WHERE f.applied > 0),
           'peer_applied', (SELECT jsonb_object_agg(f.stream || '/' || f.partition, f.peer_applied)
                              FROM dualwrite.relay_fence f WHERE f.peer_applied > 0))::text
  FROM dualwrite.store_identity i

-- name: server
-- Which server this is and on which timeline: a promoted replica or a restored backup is on another one.
SELECT (SELECT s.system_identifier::text FROM pg_control_system() s),
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint::text

-- name: pairable
-- Whether what pairing needs is installed here.
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dualwrite.relay_fence') AND attname = 'peer_noted')
   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dualwrite.store_identity') AND attname = 'peer_place')
   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dualwrite.stream_state') AND attname = 'partitions')

-- name: begin_anew
-- Be this from now on, as a stream that is disabled: nothing is noted, nothing is proven. A restored store has forgotten
-- generations that others still act on; the clock is ahead of all of them.
UPDATE dualwrite.stream_state SET role = %(role)s, capture = false, backfilled = false, changed_at = now(),
       generation = greatest(generation + 1, extract(epoch FROM clock_timestamp())::bigint)
 WHERE stream = %(stream)s AND role = %(was)s AND epoch = %(epoch)s

-- name: drop_notes
-- What was noted until now is not to be relayed: all keys are noted again when the stream is enabled.
DELETE FROM dualwrite.outbox WHERE lane BETWEEN %(lanes)s AND %(lanes)s | 127

-- name: raise_epoch
-- Go on behind every epoch that was ever seen.
UPDATE dualwrite.stream_state SET epoch = %(epoch)s, changed_at = now() WHERE stream = %(stream)s AND epoch < %(epoch)s

-- name: raise_applied
-- Go on behind what the other store knows to have been applied here.
UPDATE dualwrite.relay_fence f SET applied = greatest(f.applied, known.applied)
  FROM unnest(%(partitions)s::smallint[], %(applied)s::bigint[]) AS known (partition, applied)
 WHERE f.stream = %(stream)s AND f.partition = known.partition

-- name: raise_noted
-- Go on behind every number that was ever given to a note: a relay of before may yet delete the notes of its batch by
-- number. Far behind, as others draw numbers between reading and setting.
SELECT setval('dualwrite.outbox_id_seq', %(noted)s + 1000000)
 WHERE coalesce(pg_sequence_last_value('dualwrite.outbox_id_seq'), 0) < %(noted)s
