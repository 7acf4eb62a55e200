-- name: records
-- Canonical records of one store, a key once, in the order of the keys' bytes. Of rows with one key the one that lies
-- first is told.
SELECT DISTINCT ON ({order}) {keys}, {fields}
  FROM {table} AS t
 WHERE {is_record} AND {wanted}
 ORDER BY {order}, t.ctid
{limit}

-- name: search
-- Instruments that a term means, the likeliest first: it is their key, symbol, ISIN or FIGI (0), their symbol begins
-- with it (1), it is part of their name (2), or nearly so (3); without a term every one (0). Pages go on behind (rank,
-- key). Each filter that is NULL filters nothing.
SELECT found.rank, found.instrument_key, {fields}
  FROM (SELECT i.*,
               CASE WHEN %(term)s::text IS NULL OR %(term)s IN (i.instrument_key, i.symbol)
                         OR upper(%(term)s) IN (i.instrument_key, i.symbol, i.isin, i.figi) THEN 0
                    WHEN i.symbol ILIKE %(begins)s THEN 1
                    WHEN i.name ILIKE %(contains)s THEN 2
                    ELSE 3 END AS rank
          FROM instrument_registry.instruments AS i
         WHERE (%(term)s::text IS NULL
                OR i.instrument_key IN (%(term)s, upper(%(term)s)) OR i.isin = upper(%(term)s)
                OR i.figi = upper(%(term)s) OR i.symbol ILIKE %(begins)s OR i.name ILIKE %(contains)s
                OR %(term)s::text <%% i.name)
           AND (%(exchange)s::text IS NULL OR i.exchange = %(exchange)s)
           AND (%(symbol)s::text IS NULL OR i.symbol = %(symbol)s)
           AND (%(mic)s::text IS NULL OR i.mic = %(mic)s)
           AND (%(isin)s::text IS NULL OR i.isin = %(isin)s)
           AND (%(figi)s::text IS NULL OR i.figi = %(figi)s)
           AND (%(instrument_type)s::text IS NULL OR i.instrument_type = %(instrument_type)s)
           AND (%(currency)s::text IS NULL OR i.currency = %(currency)s)
           AND (%(country)s::text IS NULL OR i.country = %(country)s)
           AND (%(is_active)s::boolean IS NULL OR i.is_active = %(is_active)s)) AS found
 WHERE %(after_rank)s::integer IS NULL
    OR (found.rank, found.instrument_key COLLATE "C") > (%(after_rank)s, %(after_key)s)
 ORDER BY found.rank, found.instrument_key COLLATE "C"
 LIMIT %(limit)s

-- name: resolve
-- The instruments that have one of these identifiers (kinds: key, symbol, isin, figi), each with the number of the
-- identifier, as the JSON that is told of it. {instruments}: as they are, or as they were.
SELECT found.number, found.instrument_key, found.is_active, row_to_json(told)::text
  FROM (SELECT k.number, i.* FROM asked AS k JOIN {instruments} AS i ON k.kind = 'key' AND i.instrument_key = k.value
        UNION ALL
        SELECT k.number, i.* FROM asked AS k JOIN {instruments} AS i ON k.kind = 'symbol' AND i.symbol = k.value
        UNION ALL
        SELECT k.number, i.* FROM asked AS k JOIN {instruments} AS i ON k.kind = 'isin' AND i.isin = k.value
        UNION ALL
        SELECT k.number, i.* FROM asked AS k JOIN {instruments} AS i ON k.kind = 'figi' AND i.figi = k.value) AS found
 CROSS JOIN LATERAL (SELECT found.instrument_key, {fields}) AS told

-- name: asked
-- The identifiers asked for.
asked AS MATERIALIZED (
    SELECT a.kind, a.value, a.number
      FROM unnest(%(kinds)s::text[], %(values)s::text[]) WITH ORDINALITY AS a (kind, value, number))

-- name: instruments_then
-- Instruments as they were recorded before a moment: what the first change since then found, else what is there now.
changed AS MATERIALIZED (
    SELECT DISTINCT ON (c.instrument_key) c.instrument_key, c.before
      FROM instrument_registry.changes AS c
     WHERE c.index_id IS NULL AND c.at >= %(before)s
     ORDER BY c.instrument_key, c.id),
instruments_then AS (
    SELECT i.instrument_key, i.symbol, i.exchange, i.mic, i.instrument_type, i.isin, i.figi, i.name, i.currency,
           i.country, i.lot_size, i.tick_size, i.is_active
      FROM instrument_registry.instruments AS i
     WHERE NOT EXISTS (SELECT FROM changed WHERE changed.instrument_key = i.instrument_key)
    UNION ALL
    SELECT c.instrument_key, substr(c.instrument_key, strpos(c.instrument_key, ':') + 1),
           split_part(c.instrument_key, ':', 1), c.before->>'mic', c.before->>'instrument_type', c.before->>'isin',
           c.before->>'figi', c.before->>'name', c.before->>'currency', c.before->>'country',
           (c.before->>'lot_size')::numeric, (c.before->>'tick_size')::numeric, (c.before->>'is_active')::boolean
      FROM changed AS c WHERE c.before IS NOT NULL)

-- name: members
-- Who was a member of an index on a day, as known at a moment (NULL: now); archived versions answer too. One more row
-- without an instrument says whether the index is known at all.
SELECT h.instrument_key, i.name, i.isin, lower(h.spell), upper(h.spell), NULL::boolean
  FROM instrument_registry.index_membership_history_all AS h
  LEFT JOIN instrument_registry.instruments AS i USING (instrument_key)
 WHERE h.index_id = %(index_id)s AND h.spell @> %(as_of)s::date AND {known}
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL,
       EXISTS (SELECT FROM instrument_registry.indices WHERE index_id = %(index_id)s)
       OR EXISTS (SELECT FROM instrument_registry.index_membership_history_all WHERE index_id = %(index_id)s)
ORDER BY 1

-- name: spells_of
-- The spells of an instrument in every index, as known at a moment (NULL: now), and how the membership stands now.
SELECT h.index_id, lower(h.spell), upper(h.spell), h.source, h.recorded_at, m.weight, m.sector
  FROM instrument_registry.index_membership_history_all AS h
  LEFT JOIN instrument_registry.index_memberships AS m
    ON m.instrument_key = h.instrument_key AND m.index_id = h.index_id AND m.is_active AND upper_inf(h.spell)
 WHERE h.instrument_key = %(instrument_key)s AND {known}
 ORDER BY h.index_id, h.spell, h.id

-- name: index_changes
-- Who joined and who left an index after one day and until another one, as known at a moment (NULL: now). A spell that
-- ends where another one of the same instrument begins is no change: the membership went on.
WITH known AS MATERIALIZED (
    SELECT h.instrument_key, lower(h.spell) AS begins, upper(h.spell) AS ends
      FROM instrument_registry.index_membership_history_all AS h
     WHERE h.index_id = %(index_id)s AND {known})
SELECT 'joined', k.instrument_key, k.begins
  FROM known AS k
 WHERE k.begins > %(first)s AND k.begins <= %(last)s
   AND NOT EXISTS (SELECT FROM known AS o WHERE o.instrument_key = k.instrument_key AND o.ends = k.begins)
UNION ALL
SELECT 'left', k.instrument_key, k.ends
  FROM known AS k
 WHERE k.ends > %(first)s AND k.ends <= %(last)s
   AND NOT EXISTS (SELECT FROM known AS o WHERE o.instrument_key = k.instrument_key AND o.begins = k.ends)
UNION ALL
SELECT 'known', NULL, NULL
 WHERE EXISTS (SELECT FROM known) OR EXISTS (SELECT FROM instrument_registry.indices WHERE index_id = %(index_id)s)
ORDER BY 3, 2

-- name: reweighted
-- Members whose weight was recorded otherwise at the end of one day than at the end of another one; of the first not
-- before there was, or is, a change to know it by.
WITH since AS (
    SELECT greatest(%(first_end)s, {known_since}) AS at),
first AS (
    SELECT DISTINCT ON (c.instrument_key) c.instrument_key, c.before
      FROM instrument_registry.changes AS c, since
     WHERE c.index_id = %(index_id)s AND c.at >= since.at ORDER BY c.instrument_key, c.id),
last AS (
    SELECT DISTINCT ON (c.instrument_key) c.instrument_key, c.before
      FROM instrument_registry.changes AS c
     WHERE c.index_id = %(index_id)s AND c.at >= %(last_end)s ORDER BY c.instrument_key, c.id),
now AS (
    SELECT m.instrument_key, trim_scale(m.weight)::text AS weight
      FROM instrument_registry.index_memberships AS m WHERE m.index_id = %(index_id)s AND m.is_active)
SELECT first.instrument_key, first.before->>'weight',
       CASE WHEN last.instrument_key IS NULL THEN now.weight ELSE last.before->>'weight' END, since.at
  FROM first CROSS JOIN since
  LEFT JOIN last USING (instrument_key)
  LEFT JOIN now USING (instrument_key)
 WHERE first.before IS NOT NULL
   AND CASE WHEN last.instrument_key IS NULL THEN now.instrument_key IS NOT NULL ELSE last.before IS NOT NULL END
   AND first.before->>'weight' IS DISTINCT FROM
       CASE WHEN last.instrument_key IS NULL THEN now.weight ELSE last.before->>'weight' END
UNION ALL
SELECT NULL, NULL, NULL, since.at FROM since
ORDER BY 1

-- name: known_since
-- Since when every change is known: the oldest one kept, where older ones were removed; else the beginning of the feed.
coalesce((SELECT CASE WHEN h.position = 0 OR oldest.position = 1 THEN h.began_at ELSE oldest.at END
   FROM instrument_registry.changes_head AS h
   LEFT JOIN (SELECT c.position, c.at FROM instrument_registry.changes AS c
               WHERE c.position IS NOT NULL ORDER BY c.position LIMIT 1) AS oldest ON true), now())

-- name: number_changes
-- Give places to what was committed.
SELECT instrument_registry.number_changes_v1(%(most)s)

-- name: head
-- This feed's name, the last place given, and the oldest one kept.
SELECT h.feed, h.position, (SELECT min(c.position) FROM instrument_registry.changes AS c)
  FROM instrument_registry.changes_head AS h

-- name: changes
-- What changed behind a place, in order; of one index, or of instruments or memberships alone, where asked for.
SELECT c.position, c.at, c.instrument_key, c.index_id, c.before, c.after
  FROM instrument_registry.changes AS c
 WHERE c.position > %(after)s AND c.position <= %(head)s
   AND (%(index_id)s::text IS NULL OR c.index_id = %(index_id)s)
   AND (%(kind)s::text IS NULL OR (c.index_id IS NULL) = (%(kind)s = 'instrument'))
 ORDER BY c.position
 LIMIT %(limit)s

-- name: indices
-- Indices the registry knows, with how many members each has now, behind a key.
SELECT x.index_id, i.name, i.exchange, i.country, i.currency, coalesce(m.members, 0)
  FROM (SELECT index_id FROM instrument_registry.indices
        UNION SELECT index_id FROM instrument_registry.index_memberships WHERE is_active) AS x
  LEFT JOIN instrument_registry.indices AS i USING (index_id)
  LEFT JOIN (SELECT index_id, count(*) AS members FROM instrument_registry.index_memberships
              WHERE is_active GROUP BY index_id) AS m USING (index_id)
 WHERE (%(index_id)s::text IS NULL OR x.index_id = %(index_id)s)
   AND (%(after)s::text IS NULL OR x.index_id COLLATE "C" > %(after)s)
 ORDER BY x.index_id COLLATE "C"
 LIMIT %(limit)s
