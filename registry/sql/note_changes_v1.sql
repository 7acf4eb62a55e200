-- Notes what changed in instruments and memberships, whoever writes (API, relay, SQL), in the writer's transaction: a
-- change is in the feed exactly when it was made. A statement that leaves a record as it was notes nothing, nor does one
-- of a membership that is inactive before and after: to a reader there is none.
--
-- Rows are compared as they are stored (*<>): a column somebody adds may be of a type that has no equality.
--
-- Numbers of a table without a cache are drawn at the moment of the insert. Two transactions that change one record do
-- so one after the other, as its row, or its entry in the unique index, is locked: so the ids of one record's changes
-- are in the order in which they were made.
--
-- The functions take values and not a row: one of a row would keep the table from being altered.
CREATE FUNCTION instrument_registry.instrument_told_v1(name text, isin text, figi text, mic text, instrument_type text,
    currency text, country text, lot_size numeric, tick_size numeric, is_active boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('name', name, 'isin', isin, 'figi', figi, 'mic', mic, 'instrument_type', instrument_type,
    'currency', currency, 'country', country, 'lot_size', trim_scale(lot_size)::text,
    'tick_size', trim_scale(tick_size)::text, 'is_active', is_active);

CREATE FUNCTION instrument_registry.membership_told_v1(is_active boolean, weight numeric, sector text, date_added date)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_active THEN
    jsonb_build_object('weight', trim_scale(weight)::text, 'sector', sector, 'date_added', date_added::text) END;

CREATE FUNCTION instrument_registry.note_instruments_v1() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO instrument_registry.changes (instrument_key, after)
        SELECT n.instrument_key, instrument_registry.instrument_told_v1(
            n.name, n.isin, n.figi, n.mic, n.instrument_type, n.currency, n.country,
            n.lot_size, n.tick_size, n.is_active)
        FROM written AS n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO instrument_registry.changes (instrument_key, before, after)
        SELECT c.instrument_key, c.before, c.after
        FROM (SELECT n.instrument_key,
                  instrument_registry.instrument_told_v1(
                      o.name, o.isin, o.figi, o.mic, o.instrument_type, o.currency, o.country,
                      o.lot_size, o.tick_size, o.is_active) AS before,
                  instrument_registry.instrument_told_v1(
                      n.name, n.isin, n.figi, n.mic, n.instrument_type, n.currency, n.country,
                      n.lot_size, n.tick_size, n.is_active) AS after
              FROM written AS n JOIN removed AS o USING (instrument_key)
              WHERE n *<> o) AS c
        WHERE c.before IS DISTINCT FROM c.after;
    ELSE
        INSERT INTO instrument_registry.changes (instrument_key, before)
        SELECT o.instrument_key, instrument_registry.instrument_told_v1(
            o.name, o.isin, o.figi, o.mic, o.instrument_type, o.currency, o.country,
            o.lot_size, o.tick_size, o.is_active)
        FROM removed AS o;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION instrument_registry.note_memberships_v1() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO instrument_registry.changes (instrument_key, index_id, after)
        SELECT n.instrument_key, n.index_id,
            instrument_registry.membership_told_v1(n.is_active, n.weight, n.sector, n.date_added)
        FROM written AS n WHERE n.is_active;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO instrument_registry.changes (instrument_key, index_id, before, after)
        SELECT c.instrument_key, c.index_id, c.before, c.after
        FROM (SELECT n.instrument_key, n.index_id,
                  instrument_registry.membership_told_v1(o.is_active, o.weight, o.sector, o.date_added) AS before,
                  instrument_registry.membership_told_v1(n.is_active, n.weight, n.sector, n.date_added) AS after
              FROM written AS n JOIN removed AS o USING (id)
              WHERE n *<> o) AS c
        WHERE c.before IS DISTINCT FROM c.after;
    ELSE
        INSERT INTO instrument_registry.changes (instrument_key, index_id, before)
        SELECT o.instrument_key, o.index_id,
            instrument_registry.membership_told_v1(o.is_active, o.weight, o.sector, o.date_added)
        FROM removed AS o WHERE o.is_active;
    END IF;
    RETURN NULL;
END
$$;

-- TRUNCATE leaves nothing to read afterwards: it is done as the delete it stands for. Memberships have that already
-- (follow_memberships).
CREATE FUNCTION instrument_registry.note_truncated_instruments_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM instrument_registry.instruments;
    RETURN NULL;
END
$$;

CREATE TRIGGER note_inserted AFTER INSERT ON instrument_registry.instruments
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_instruments_v1();
CREATE TRIGGER note_updated AFTER UPDATE ON instrument_registry.instruments
    REFERENCING OLD TABLE AS removed NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_instruments_v1();
CREATE TRIGGER note_deleted AFTER DELETE ON instrument_registry.instruments
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_instruments_v1();
CREATE TRIGGER note_truncated BEFORE TRUNCATE ON instrument_registry.instruments
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_truncated_instruments_v1();

CREATE TRIGGER note_inserted AFTER INSERT ON instrument_registry.index_memberships
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_memberships_v1();
CREATE TRIGGER note_updated AFTER UPDATE ON instrument_registry.index_memberships
    REFERENCING OLD TABLE AS removed NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_memberships_v1();
CREATE TRIGGER note_deleted AFTER DELETE ON instrument_registry.index_memberships
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.note_memberships_v1();
