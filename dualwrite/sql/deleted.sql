-- name: keep
-- The mirror's rows that the staged records are about to delete, whole, so that they can be had back.
INSERT INTO dualwrite.deleted (stream, key, row)
SELECT {stream}, r.key, to_jsonb(t) FROM {staged} AS r JOIN {table} AS t ON {match} WHERE NOT r.present AND {is_record}

-- name: prune
-- Those that were kept for long enough, some at a time.
DELETE FROM dualwrite.deleted WHERE id = ANY (ARRAY(
    SELECT d.id FROM dualwrite.deleted d
     WHERE d.stream = %(stream)s AND d.deleted_at < now() - make_interval(days => %(days)s) ORDER BY d.id LIMIT %(most)s))

-- name: found
-- Of each key the row that was deleted last: of all keys or of these, deleted since then; the latest first, from below a
-- number.
SELECT kept.id, kept.key, kept.deleted_at, kept.row
  FROM dualwrite.deleted kept
 WHERE kept.stream = {stream} AND kept.id < {below}
   AND ({keys}::text[] IS NULL
        OR md5(kept.key) = ANY (ARRAY(SELECT md5(k) FROM unnest({keys}::text[]) AS k)) AND kept.key = ANY ({keys}::text[]))
   AND kept.deleted_at >= coalesce({since}::timestamptz, '-infinity')
   AND NOT EXISTS (SELECT FROM dualwrite.deleted d
                    WHERE d.stream = kept.stream AND md5(d.key) = md5(kept.key) AND d.key = kept.key AND d.id > kept.id)
 ORDER BY kept.id DESC LIMIT {most}

-- name: records
-- The canonical records of these rows, as the table is now.
SELECT d.id, (SELECT jsonb_build_object({record}) FROM jsonb_populate_record(NULL::{table}, d.row) AS t)
  FROM dualwrite.deleted d WHERE d.id = ANY ({ids}::bigint[])

-- name: alone
-- Let no other writer of the stream be between looking and writing. First the keys, as a write of this service locks them
-- before it waits for the stream; and each in a short try, as a waiting request holds up every later writer.
SELECT set_config('lock_timeout', '200ms', true);
SELECT pg_advisory_xact_lock(25728, locks.number)
  FROM (SELECT DISTINCT hashtext(%(stream)s || '/' || (hashtextextended(k, 0) & 255)) AS number
          FROM unnest(%(keys)s::text[]) AS k ORDER BY 1) AS locks;
SELECT pg_advisory_xact_lock(25719, hashtext(%(stream)s));
SELECT set_config('lock_timeout', '5s', true)

-- name: there
-- Which of these keys have a record.
SELECT r.key FROM (SELECT k AS key, {key_parts} FROM unnest({keys}::text[]) AS k) AS r
 WHERE EXISTS (SELECT FROM {table} AS t WHERE {match} AND {is_record})
