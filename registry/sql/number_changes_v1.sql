-- Gives committed changes their places in the feed, the oldest ids first, and returns the last place given.
--
-- Why not the id itself: it is drawn before the commit, so a change with a lower id may appear after one with a higher
-- id was read, and whoever remembers the highest never sees it. Why not the transaction's number below the oldest
-- one still open: two transactions may change a record in the other order than they began in, and one long transaction
-- would hold back everybody's changes; and numbers of transactions mean nothing in another server that the database
-- was restored into.
--
-- A place is given only to what can be seen, so to what is committed, and by one caller at a time: the head's row is
-- locked, and under READ COMMITTED what comes after the wait sees all that was committed until then. So places are
-- without gaps, a lower one is always committed first, and none is ever given late. Of one record the changes are in
-- order: whoever sees a change sees those before it, whose ids are lower.
CREATE FUNCTION instrument_registry.number_changes_v1(most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head bigint;
    given bigint;
BEGIN
    INSERT INTO instrument_registry.changes_head (one, feed)
    SELECT true, left(replace(gen_random_uuid()::text, '-', ''), 12)
    WHERE NOT EXISTS (SELECT FROM instrument_registry.changes_head)
    ON CONFLICT DO NOTHING;
    SELECT position INTO head FROM instrument_registry.changes_head;
    -- Nearly always there is nothing to do, and then nobody is to wait for anybody.
    IF NOT EXISTS (SELECT FROM instrument_registry.changes WHERE position IS NULL) THEN
        RETURN head;
    END IF;
    SELECT position INTO head FROM instrument_registry.changes_head FOR UPDATE;
    UPDATE instrument_registry.changes AS c SET position = head + n.number
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS number
          FROM (SELECT id FROM instrument_registry.changes WHERE position IS NULL ORDER BY id LIMIT most) AS oldest) AS n
    WHERE c.id = n.id;
    GET DIAGNOSTICS given = ROW_COUNT;
    UPDATE instrument_registry.changes_head SET position = head + given;
    RETURN head + given;
END
$$;
