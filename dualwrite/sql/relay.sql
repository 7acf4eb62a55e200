-- name: plan_for_batches
-- For the whole session: a batch is small beside its tables, so its rows are to be found by index. The server's default
-- takes reading the whole table for cheaper, with every batch, and compiles the statement for it.
SELECT set_config('random_page_cost', '0.1', false), set_config('jit', 'off', false)

-- name: batch_table
-- On the authority: the keys of one batch of notes, taken apart. Lives as long as the connection.
CREATE TEMP TABLE {batch} (id bigint NOT NULL, lane integer NOT NULL, key text NOT NULL, ordinal bigint NOT NULL, {key_definitions})

-- name: take
-- Fill the batch: the oldest notes of each lane, in the order in which the lanes are given, until they carry `size` keys
-- or there are no more. A note is taken whole, with more keys than that at most by those of the last one. Equal keys get
-- the same ordinal, counted from 1. Left out are notes up to the number `above`, below which there are none any more, and
-- of each lane those from `low` to `high`, which are in the batch before.
INSERT INTO {batch}
SELECT taken.id, taken.lane, taken.key, dense_rank() OVER (ORDER BY taken.key), {key_parts}
  FROM (SELECT whole.id, whole.lane, unnest(whole.key || whole.others) AS key
          FROM (SELECT o.id, o.lane, o.key, o.others, generate_series(0, coalesce(cardinality(o.others), 0)) AS position
                  FROM unnest({lanes}::integer[], {low}::bigint[], {high}::bigint[]) WITH ORDINALITY AS l (lane, low, high, turn)
                 CROSS JOIN LATERAL (SELECT n.id, n.lane, n.key, n.others FROM dualwrite.outbox n
                                      WHERE n.lane = l.lane AND n.id > {above}
                                        AND (l.low IS NULL OR n.id < l.low OR n.id > l.high)
                                      ORDER BY n.id LIMIT {size}) AS o
                 LIMIT {size}) AS whole
         WHERE whole.position = 0) AS taken

-- name: take_keys
-- Fill the batch with these keys, noted or not, as long as the store notes keys at all. With them come those of their
-- newest notes that carry no other key; a key by itself has the number 0, which no note has.
INSERT INTO {batch}
SELECT taken.id, taken.lane, taken.key, dense_rank() OVER (ORDER BY taken.key), {key_parts}
  FROM (WITH wanted AS MATERIALIZED (
            SELECT s.lanes | (hashtextextended(k, 0) & (s.partitions - 1))::int AS lane, k AS key
              FROM unnest({wanted}::text[]) AS k
              JOIN dualwrite.stream_state s ON s.stream = {stream} AND s.capture AND s.partitions = {partitions})
        SELECT 0::bigint AS id, w.lane, w.key FROM wanted AS w
         UNION ALL
        SELECT n.id, n.lane, unnest(n.key || n.others)
          FROM (SELECT w.lane, array_agg(w.key) AS keys FROM wanted AS w GROUP BY w.lane) AS of_lane
         CROSS JOIN LATERAL (SELECT o.id, o.lane, o.key, o.others FROM dualwrite.outbox o
                              WHERE o.lane = of_lane.lane ORDER BY o.id DESC LIMIT {newest}) AS n
         WHERE (n.key || n.others) <@ of_lane.keys) AS taken

-- name: took
-- Take, and say what was taken: notes, different keys, the oldest and the newest note, keys with a NULL part, by which
-- no row of the mirror can be found, and the partitions of all of them.
WITH took AS ({take} RETURNING *)
SELECT count(*), coalesce(max(b.ordinal), 0), coalesce(min(b.id), 0), coalesce(max(b.id), 0),
       array_agg(DISTINCT b.key) FILTER (WHERE NOT ({no_null_key})), array_agg(DISTINCT b.lane & 63) FROM took AS b

-- name: spans
-- Of each lane of the batch its first and its last note.
SELECT lane, min(id), max(id) FROM {batch} GROUP BY lane

-- name: last_note
-- The last number given to a note.
SELECT coalesce(pg_sequence_last_value('dualwrite.outbox_id_seq'), 0)

-- name: oldest_note
-- The oldest note of these lanes above a number, and which transactions have not ended.
SELECT (SELECT min(first.id) FROM unnest(%(lanes)s::integer[]) AS l (lane)
         CROSS JOIN LATERAL (SELECT o.id FROM dualwrite.outbox o WHERE o.lane = l.lane AND o.id > %(above)s
                              ORDER BY o.id LIMIT 1) AS first),
       pg_snapshot_xmin(now.snapshot)::text::bigint, pg_snapshot_xmax(now.snapshot)::text::bigint
  FROM (SELECT pg_current_snapshot() AS snapshot) AS now

-- name: forget_batch
-- Empty it for the next one.
TRUNCATE {batch}

-- name: forget_few
-- The same for a small batch: TRUNCATE makes a new file and writes the catalogue, which is flushed to disk.
DELETE FROM {batch}

-- name: read
-- The current records of the batch's keys from ordinal to ordinal, or their absence. A statement of its own after
-- `take`, so that its snapshot is later than that of the notes.
COPY (SELECT r.key, {key_names}, t.ctid IS NOT NULL, {record}
        FROM (SELECT DISTINCT b.key, {batch_key_names} FROM {batch} b
               WHERE b.ordinal BETWEEN {low} AND {high} AND {no_null_key}) AS r
        LEFT JOIN {table} AS t ON {match} AND {is_record}) TO STDOUT

-- name: rows_of
-- The authority's rows of some keys, for people: every value as text, as some numbers fit into no JSON reader.
SELECT r.key, jsonb_agg((SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(to_jsonb(t)) AS v))::text
  FROM (SELECT k AS key, {key_parts} FROM unnest({wanted}::text[]) AS k) AS r JOIN {table} AS t ON {match}
 GROUP BY r.key

-- name: rows_of_keyless
-- The same for keys with a NULL part, which match no column: the table is read once for all of them.
SELECT found.key, jsonb_agg((SELECT jsonb_object_agg(v.key, left(v.value, 1000)) FROM jsonb_each_text(found.row) AS v))::text
  FROM (SELECT {key} AS key, to_jsonb(t) AS row FROM {table} AS t) AS found
 WHERE found.key = ANY ({wanted}::text[])
 GROUP BY found.key

-- name: done
-- Delete exactly the notes of this batch: a newer note of the same key has another id and stays. OFFSET 0 has each note
-- looked up by its primary key; a plain join reads the whole outbox instead, whose statistics are always out of date.
-- In the same statement, what the mirror has applied is remembered: should it know less some day, it has gone back in time.
WITH remembered AS (
    UPDATE dualwrite.relay_fence SET peer_applied = greatest(peer_applied, {applied})
     WHERE stream = {stream} AND partition = {partition})
DELETE FROM dualwrite.outbox WHERE ctid = ANY (ARRAY(
    SELECT note.ctid FROM (SELECT DISTINCT lane, id FROM {batch}) AS b
     CROSS JOIN LATERAL (SELECT o.ctid FROM dualwrite.outbox o
                          WHERE o.lane = b.lane AND o.id = b.id OFFSET 0) AS note))

-- name: staged_table
-- On the mirror: the records of one batch. Emptied by every commit.
CREATE TEMP TABLE {staged} (key text NOT NULL, {key_definitions}, present boolean NOT NULL, {definitions}) ON COMMIT DELETE ROWS

-- name: acquire
-- Take the fences of these partitions: whoever held an older epoch is refused from now on. Locked in the order in which
-- a batch locks them.
WITH mine AS (SELECT stream, partition FROM dualwrite.relay_fence
               WHERE stream = %(stream)s AND partition = ANY (%(partitions)s) ORDER BY partition FOR UPDATE)
UPDATE dualwrite.relay_fence f SET epoch = f.epoch + 1, holder = %(holder)s
  FROM mine WHERE f.stream = mine.stream AND f.partition = mine.partition
RETURNING f.partition, f.epoch

-- name: acquire_unlocked
-- The same, of those alone that nobody has locked.
WITH mine AS (SELECT stream, partition FROM dualwrite.relay_fence
               WHERE stream = %(stream)s AND partition = ANY (%(partitions)s) ORDER BY partition FOR UPDATE SKIP LOCKED)
UPDATE dualwrite.relay_fence f SET epoch = f.epoch + 1, holder = %(holder)s
  FROM mine WHERE f.stream = mine.stream AND f.partition = mine.partition
RETURNING f.partition, f.epoch

-- name: overtake
-- The same for one batch of a writer that mirrors what it wrote. Whose they were before is kept, so that a relay can
-- tell such writers, whom it lets pass, from another relay.
WITH mine AS (SELECT stream, partition FROM dualwrite.relay_fence
               WHERE stream = %(stream)s AND partition = ANY (%(partitions)s) ORDER BY partition FOR UPDATE)
UPDATE dualwrite.relay_fence f SET epoch = f.epoch + 1, holder = 'inline/' || coalesce(substring(f.holder FROM '^(?:inline/)?(.*)$'), '')
  FROM mine WHERE f.stream = mine.stream AND f.partition = mine.partition
RETURNING f.partition, f.epoch

-- name: overtake_as_mirror
-- The role locked, then the fences, as `mirror_state` and `overtake` do, and the marker set, in one message: for a writer
-- each of them is time. No fence where the store is no mirror, or keys fall into another number of partitions.
WITH role AS MATERIALIZED (
    SELECT s.stream, s.role, s.epoch, s.partitions FROM dualwrite.stream_state s WHERE s.stream = %(stream)s FOR SHARE),
mine AS MATERIALIZED (
    SELECT f.stream, f.partition FROM dualwrite.relay_fence f
     WHERE f.stream = (SELECT r.stream FROM role r WHERE r.role = 'mirror' AND r.partitions = %(number)s)
       AND f.partition = ANY (%(partitions)s) ORDER BY f.partition FOR UPDATE),
raised AS (
    UPDATE dualwrite.relay_fence f
       SET epoch = f.epoch + 1, holder = 'inline/' || coalesce(substring(f.holder FROM '^(?:inline/)?(.*)$'), '')
      FROM mine WHERE f.stream = mine.stream AND f.partition = mine.partition
    RETURNING f.partition, f.epoch)
SELECT r.role, r.partitions, set_config('dualwrite.relay', r.stream || ':' || r.epoch, true), raised.partition, raised.epoch
  FROM role r LEFT JOIN raised ON true

-- name: read_few
-- As `read`, for few keys: an ordinary answer takes one message less than a COPY.
SELECT r.key, {key_names}, t.ctid IS NOT NULL, {record}
  FROM (SELECT DISTINCT b.key, {batch_key_names} FROM {batch} b WHERE {no_null_key}) AS r
  LEFT JOIN {table} AS t ON {match} AND {is_record}

-- name: control_of
-- What operators, or the brake, say about relaying, and which of these keys are parked.
SELECT c.paused, c.held_because, p.key, p.id, p.attempts
  FROM dualwrite_stream c
  LEFT JOIN dualwrite_parked p ON p.stream = c.stream AND p.key = ANY (%(keys)s)
        AND md5(p.key) = ANY (ARRAY(SELECT md5(k) FROM unnest(%(keys)s::text[]) AS k))
 WHERE c.stream = %(stream)s

-- name: holders
-- Who took these fences last.
SELECT partition, epoch, holder FROM dualwrite.relay_fence WHERE stream = %(stream)s AND partition = ANY (%(partitions)s)

-- name: fences
-- Lock the fences of these partitions until the transaction ends.
SELECT partition, epoch FROM dualwrite.relay_fence
 WHERE stream = %(stream)s AND partition = ANY (%(partitions)s) ORDER BY partition FOR UPDATE

-- name: mirror_state
-- Lock the role until the transaction ends.
SELECT role, epoch, partitions FROM dualwrite.stream_state WHERE stream = %(stream)s FOR SHARE

-- name: mark
-- Let this transaction through the guard, for this stream and epoch only.
SELECT set_config('dualwrite.relay', %(marker)s, true)

-- name: stage
-- Take the records over as the raw bytes the authority sent.
COPY {staged} (key, {key_names}, present, {field_names}) FROM STDIN

-- name: take_out_duplicates
-- Keys that several rows of the authority have: which of them should it be?
DELETE FROM {staged} s USING (SELECT key FROM {staged} GROUP BY key HAVING count(*) > 1) AS d
 WHERE s.key = d.key RETURNING s.key

-- name: would_delete
-- Rows of the mirror that this batch deletes.
SELECT count(*) FROM {staged} AS r JOIN {table} AS t ON {match} WHERE NOT r.present AND {is_record}

-- name: mirror_rows
-- How many rows the mirror has, by statistics where it is large.
SELECT CASE WHEN c.reltuples >= 100000 THEN c.reltuples::bigint ELSE (SELECT count(*) FROM {table}) END
  FROM pg_class c WHERE c.oid = {table_name}::regclass

-- name: merge
-- Make the mirror equal to the staged records; rows that are equal already are not touched.
MERGE INTO {table} AS t USING {staged} AS r ON {match}
 WHEN MATCHED AND NOT r.present AND {is_record} THEN DELETE
 WHEN MATCHED AND r.present AND ({differs}) THEN UPDATE SET {assignments}
 WHEN NOT MATCHED AND r.present THEN INSERT ({columns}) VALUES ({values})

-- name: kept_otherwise
-- Staged records that the mirror has not kept as they were sent, with what became of each.
SELECT r.key, CASE WHEN r.present AND t.ctid IS NULL THEN 'it is not there'
                   WHEN NOT r.present THEN 'it is still there'
                   ELSE concat_ws('; ', {differences}) END
  FROM {staged} AS r LEFT JOIN {table} AS t ON {match} AND {is_record}
 WHERE CASE WHEN r.present THEN t.ctid IS NULL OR {differs} ELSE t.ctid IS NOT NULL END

-- name: applied
-- Count what was applied, once a batch, and remember the newest note of the batch: should the authority not know that
-- number some day, it has gone back in time. The keys are kept for the next validation, which has only these to look at.
WITH touched AS (
    INSERT INTO dualwrite.touched (stream, keys, number)
    SELECT %(stream)s, array_agg(r.key), count(*) FROM {staged} AS r HAVING count(*) > 0)
UPDATE dualwrite.relay_fence SET applied = applied + %(keys)s, applied_at = clock_timestamp(),
       peer_noted = greatest(peer_noted, %(noted)s)
 WHERE stream = %(stream)s AND partition = %(partition)s
RETURNING applied

-- name: records
-- Few records as a JSON text, $1, each value as the text that COPY would send; read by the same input functions.
(SELECT * FROM json_to_recordset($1::json) AS r (key text, {key_definitions}, present boolean, {definitions}))

-- name: applied_at_once
-- As `applied`, of such records, and what of them was kept otherwise: one statement after the one that wrote them.
WITH touched AS (
    INSERT INTO dualwrite.touched (stream, keys, number) SELECT {stream}, array_agg(r.key), count(*) FROM {records} AS r),
counted AS (
    UPDATE dualwrite.relay_fence SET applied = applied + $4::int, applied_at = clock_timestamp(),
           peer_noted = greatest(peer_noted, $3::bigint)
     WHERE stream = {stream} AND partition = $2::int
    RETURNING applied)
SELECT counted.applied, otherwise.key, otherwise.what
  FROM counted LEFT JOIN ({otherwise}) AS otherwise (key, what) ON true

-- name: join_fleet
-- Be counted as one of the stream's relays as long as this connection lives.
SELECT pg_advisory_lock_shared(25723, hashtext(%(stream)s))

-- name: fleet
-- How many relays share the stream now.
SELECT count(*) FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 25723 AND l.objsubid = 2
   AND l.objid::bigint = hashtext(%(stream)s)::bigint & 4294967295
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: claim_partition
-- Have those relays that share the others leave this partition out, as long as this connection lives.
SELECT pg_advisory_lock_shared(25724, hashtext(%(name)s))

-- name: claimed
-- Which of these partitions are claimed.
SELECT array(SELECT n FROM unnest(%(names)s::text[]) AS n
              WHERE EXISTS (SELECT FROM pg_locks l
                             WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 25724 AND l.objsubid = 2
                               AND l.objid::bigint = hashtext(n)::bigint & 4294967295
                               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())))

-- name: try_partition
-- Keep other relays off this partition as long as this connection lives. For order, not for safety.
SELECT pg_try_advisory_lock(25720, hashtext(%(name)s))

-- name: leave_partition
-- Let another relay have it.
SELECT pg_advisory_unlock(25720, hashtext(%(name)s))

-- name: wait_partition
-- The same, waiting for the one that has it to give way.
SELECT pg_advisory_lock(25720, hashtext(%(name)s))

-- name: wanted
-- Whether somebody waits for one of these partitions: a switch, which relays the last notes itself.
SELECT EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = 25720
                  AND l.objid::bigint = ANY (SELECT hashtext(n)::bigint & 4294967295 FROM unnest(%(names)s::text[]) AS n)
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))

-- name: control
-- What operators, or the brake, say about relaying.
SELECT paused, held_because FROM dualwrite_stream WHERE stream = %(stream)s

-- name: spend
-- Account for deletes before they happen, in a new window where the last one is over; no row means that they exceed
-- what is allowed. What an operator confirmed is not counted.
UPDATE dualwrite_stream AS c
   SET brake_spent = w.spent + CASE WHEN w.lifted THEN 0 ELSE %(deletes)s END, brake_since = w.since
  FROM (SELECT stream, lifted, CASE WHEN over THEN 0 ELSE brake_spent END AS spent, CASE WHEN over THEN now() ELSE brake_since END AS since
          FROM (SELECT stream, brake_spent, brake_since, coalesce(%(oldest_note)s <= brake_lifted_until, false) AS lifted,
                       brake_since IS NULL OR (%(caught_up)s AND brake_since < now() - make_interval(secs => %(window)s)) AS over
                  FROM dualwrite_stream WHERE stream = %(stream)s) AS found) AS w
 WHERE c.stream = w.stream AND (w.lifted OR w.spent + %(deletes)s <= %(allowed)s)

-- name: hold
-- Stop relaying until an operator confirms.
UPDATE dualwrite_stream SET held_because = %(because)s, changed_at = now() WHERE stream = %(stream)s AND held_because = ''

-- name: park
-- Set a key aside with its error, or note that it failed again; and when it is tried again by itself, if it is.
INSERT INTO dualwrite_parked AS p (stream, key, error, sqlstate, record, attempts, next_attempt_at)
VALUES (%(stream)s, %(key)s, %(error)s, %(sqlstate)s, %(record)s::jsonb, 1,
        CASE WHEN 1 < %(tries)s THEN clock_timestamp() + make_interval(secs => %(pause)s) END)
    ON CONFLICT (stream, md5(key)) DO UPDATE SET error = excluded.error, sqlstate = excluded.sqlstate,
        record = excluded.record, attempts = p.attempts + 1, last_parked_at = now(),
        next_attempt_at = CASE WHEN p.attempts + 1 < %(tries)s THEN clock_timestamp()
                               + make_interval(secs => least(%(pause)s * 2 ^ least(p.attempts, 30), %(longest)s)) END

-- name: due
-- Claim the keys whose time has come. Should the claimer die, they are due again when the claim is over.
UPDATE dualwrite_parked SET next_attempt_at = clock_timestamp() + make_interval(secs => %(claim)s)
 WHERE id IN (SELECT id FROM dualwrite_parked
               WHERE stream = %(stream)s AND next_attempt_at <= clock_timestamp()
               ORDER BY next_attempt_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)
RETURNING key

-- name: blocked
-- Parked keys that failed for one of these reasons.
SELECT key, id, attempts FROM dualwrite_parked WHERE stream = %(stream)s AND sqlstate = ANY (%(sqlstates)s)
 ORDER BY last_parked_at DESC, id LIMIT %(most)s

-- name: parked
-- All keys of a stream that are set aside.
SELECT key, id, attempts FROM dualwrite_parked WHERE stream = %(stream)s

-- name: unpark
-- These have been applied after all, unless they failed again since they were looked at.
DELETE FROM dualwrite_parked p USING unnest(%(ids)s::bigint[], %(attempts)s::bigint[]) AS seen (id, attempts)
 WHERE p.id = seen.id AND p.attempts = seen.attempts

-- name: keys_among
-- Which of these keys the batch has.
SELECT DISTINCT b.key FROM {batch} b WHERE b.key = ANY ({wanted}::text[])
