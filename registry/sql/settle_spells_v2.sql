-- Makes the open spells of the given (instrument_key, index_id) pairs agree with index_memberships as it is
-- now: one open spell for each active membership, none otherwise. It compares states instead of replaying
-- events, so it does not matter how many triggers of one statement (MERGE, upsert) call it, in which order,
-- or how often.
--
-- It must never fail a legal write of a membership: a spell begins no earlier than the end of every closed
-- one of its pair, be it in the history or in its archive (which v1 did not know), an empty one is not stored,
-- and versions are ordered by greatest(now(), ...) since now() of a transaction that began earlier may lie
-- before the recorded_at of one that committed first.
--
-- VOLATILE, each step its own statement: every step sees what was committed while the previous one waited for
-- a lock.
CREATE FUNCTION instrument_registry.settle_spells_v2(instrument_keys text[], index_ids text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    -- The lock makes a REPEATABLE READ writer fail with a serialization error instead of trusting an open
    -- spell that was closed since its snapshot, and makes every writer wait for an import of spells (which
    -- locks the table).
    PERFORM 1
    FROM instrument_registry.index_membership_history AS h
    JOIN unnest(instrument_keys, index_ids) AS k (instrument_key, index_id) USING (instrument_key, index_id)
    WHERE h.superseded_at IS NULL AND upper_inf(h.spell)
    FOR NO KEY UPDATE OF h;

    WITH pair AS (
        SELECT DISTINCT k.instrument_key, k.index_id, m.id IS NOT NULL AS member, m.date_added
        FROM unnest(instrument_keys, index_ids) AS k (instrument_key, index_id)
        LEFT JOIN instrument_registry.index_memberships AS m
            ON m.instrument_key = k.instrument_key AND m.index_id = k.index_id AND m.is_active
    ), known AS (
        SELECT instrument_key, index_id,
            max(upper(h.spell)) FILTER (WHERE NOT upper_inf(h.spell)) AS closed_until,
            max(h.id) FILTER (WHERE upper_inf(h.spell)) AS open_id
        FROM pair
        -- Only closed ones are archived while they are current: an open one is in the history, where it is closed.
        JOIN instrument_registry.index_membership_history_all AS h USING (instrument_key, index_id)
        WHERE h.superseded_at IS NULL
        GROUP BY instrument_key, index_id
    ), wanted AS (
        SELECT pair.instrument_key, pair.index_id, o.id AS open_id, o.recorded_at,
            CASE
                WHEN NOT member THEN daterange(lower(o.spell), greatest(lower(o.spell), today))
                -- Someone else's opening date (an imported one) stays.
                WHEN o.source <> 'membership' THEN o.spell
                ELSE daterange(greatest(coalesce(date_added, lower(o.spell), today), closed_until), NULL)
            END AS spell,
            o.spell AS was
        FROM pair
        LEFT JOIN known USING (instrument_key, index_id)
        LEFT JOIN instrument_registry.index_membership_history AS o ON o.id = known.open_id
        WHERE member OR o.id IS NOT NULL
    ), changed AS (
        SELECT * FROM wanted WHERE spell IS DISTINCT FROM was
    ), superseded AS (
        UPDATE instrument_registry.index_membership_history AS h
        SET superseded_at = greatest(now(), h.recorded_at)
        FROM changed
        WHERE h.id = changed.open_id
        RETURNING h.id
    )
    INSERT INTO instrument_registry.index_membership_history (instrument_key, index_id, spell, recorded_at, source)
    SELECT instrument_key, index_id, spell, greatest(now(), recorded_at), 'membership'
    FROM changed
    -- Counting them makes the update run to its end before the first insert, or the constraint would see both
    -- versions; the count is used, since the planner drops a join whose columns are not.
    CROSS JOIN (SELECT count(*) AS n FROM superseded) AS done
    WHERE NOT isempty(spell) AND done.n >= 0
    ORDER BY instrument_key, index_id;
END
$$;
