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
-- Of each key the row that was deleted last: of all keys or of these, deleted since then; the latest first.
SELECT d.key, d.deleted_at, d.row, d.record
  FROM (SELECT DISTINCT ON (kept.key) kept.key, kept.deleted_at, kept.row, kept.id,
               (SELECT jsonb_build_object({record}) FROM jsonb_populate_record(NULL::{table}, kept.row) AS t) AS record
          FROM dualwrite.deleted kept
         WHERE kept.stream = {stream} AND ({keys}::text[] IS NULL
                OR md5(kept.key) = ANY (ARRAY(SELECT md5(k) FROM unnest({keys}::text[]) AS k)) AND kept.key = ANY ({keys}::text[]))
           AND kept.deleted_at >= coalesce({since}::timestamptz, '-infinity')
         ORDER BY kept.key, kept.id DESC) AS d
 ORDER BY d.id DESC LIMIT {most}

-- name: alone
-- Let no other writer of the stream be between looking and writing.
SELECT set_config('lock_timeout', '5s', true), pg_advisory_xact_lock(25719, hashtext(%(stream)s))

-- name: there
-- Which of these keys have a record.
SELECT r.key FROM (SELECT k AS key, {key_parts} FROM unnest({keys}::text[]) AS k) AS r
 WHERE EXISTS (SELECT FROM {table} AS t WHERE {match} AND {is_record})
