-- name: weights_sum_to_100
-- Indices whose members all carry a weight, and whose weights do not sum to 100 within the tolerance.
SELECT m.index_id, format('%%s members, weights sum to %%s', count(*), trim_scale(sum(m.weight)))
  FROM instrument_registry.index_memberships AS m
 WHERE m.is_active
 GROUP BY m.index_id
HAVING count(m.weight) = count(*) AND abs(sum(m.weight) - 100) > %(tolerance)s

-- name: spells_do_not_overlap
-- Current spells of one instrument in one index that share a day, archived ones too, e.g. after their exclusion
-- constraint was dropped.
-- First, in one pass, which memberships have such: joining all spells with all others takes half a minute for 20,000
-- on a table without statistics.
WITH sharing AS MATERIALIZED (
    SELECT DISTINCT f.instrument_key, f.index_id
      FROM (SELECT h.instrument_key, h.index_id, coalesce(lower(h.spell), '-infinity') AS begins,
                   max(coalesce(upper(h.spell), 'infinity')) OVER before AS taken_until
              FROM instrument_registry.index_membership_history_all AS h
             WHERE h.superseded_at IS NULL AND NOT isempty(h.spell)
            WINDOW before AS (PARTITION BY h.instrument_key, h.index_id
                              ORDER BY coalesce(lower(h.spell), '-infinity'), h.id
                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS f
     WHERE f.begins < f.taken_until)
SELECT h.instrument_key || ' in ' || h.index_id, format('%%s overlaps %%s', h.spell, o.spell)
  FROM sharing
  JOIN instrument_registry.index_membership_history_all AS h USING (instrument_key, index_id)
  JOIN instrument_registry.index_membership_history_all AS o USING (instrument_key, index_id)
 WHERE h.superseded_at IS NULL AND o.superseded_at IS NULL AND h.id < o.id AND h.spell && o.spell

-- name: membership_has_its_instrument
-- Active memberships of an instrument that the registry does not have.
SELECT m.instrument_key || ' in ' || m.index_id, 'there is no such instrument'
  FROM instrument_registry.index_memberships AS m
 WHERE m.is_active
   AND NOT EXISTS (SELECT FROM instrument_registry.instruments AS i WHERE i.instrument_key = m.instrument_key)

-- name: sector_known
-- Active memberships without a sector.
SELECT m.instrument_key || ' in ' || m.index_id, 'no sector'
  FROM instrument_registry.index_memberships AS m
 WHERE m.is_active AND coalesce(btrim(m.sector), '') = ''

-- name: membership_history
-- Every version of the spells of one instrument in one index, archived ones too, the newest first.
SELECT h.spell::text AS spell, h.source, h.recorded_at, h.superseded_at
  FROM instrument_registry.index_membership_history_all AS h
 WHERE h.instrument_key = %(instrument_key)s AND h.index_id = %(index_id)s
 ORDER BY h.recorded_at DESC, h.id DESC
