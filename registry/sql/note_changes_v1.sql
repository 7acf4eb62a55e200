-- Notes what changed in instruments and memberships, whoever writes (API, relay, SQL), in the writer's transaction: a
-- change is in the feed exactly when it was made. A statement that leaves a record as it was notes nothing, nor does one
-- of a membership that is inactive before and after: to a reader there is none.
--
-- Rows are compared as they are stored (*<>): a column somebody adds may be of a type that has no equality.
--
-- Numbers of a table without a cache are drawn at the moment of the insert. Two transactions that change one record do
-- so one after the other, as its row, or its entry in the unique index, is locked: so the ids of one record's changes
-- are in the order in which they were made.
CREATE FUNCTION instrument_registry.instrument_told_v1(i instrument_registry.instruments) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('name', i.name, 'isin', i.isin, 'figi', i.figi, 'mic', i.mic,
    'instrument_type', i.instrument_type, 'currency', i.currency, 'country', i.country,
    'lot_size', trim_scale(i.lot_size)::text, 'tick_size', trim_scale(i.tick_size)::text, 'is_active', i.is_active);

CREATE FUNCTION instrument_registry.membership_told_v1(m instrument_registry.index_memberships) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN m.is_active THEN
    jsonb_build_object('weight', trim_scale(m.weight)::text, 'sector', m.sector, 'date_added', m.date_added::text) END;

CREATE FUNCTION instrument_registry.note_instruments_v1() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO instrument_registry.changes (instrument_key, after)
        SELECT n.instrument_key, instrument_registry.instrument_told_v1(n) FROM written AS n;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO instrument_registry.changes (instrument_key, before, after)
        SELECT c.instrument_key, c.before, c.after
        FROM (SELECT n.instrument_key, instrument_registry.instrument_told_v1(o) AS before,
                  instrument_registry.instrument_told_v1(n) AS after
              FROM written AS n JOIN removed AS o USING (instrument_key)
              WHERE n *<> o) AS c
        WHERE c.before IS DISTINCT FROM c.after;
    ELSE
        INSERT INTO instrument_registry.changes (instrument_key, before)
        SELECT o.instrument_key, instrument_registry.instrument_told_v1(o) FROM removed AS o;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION instrument_registry.note_memberships_v1() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO instrument_registry.changes (instrument_key, index_id, after)
        SELECT n.instrument_key, n.index_id, instrument_registry.membership_told_v1(n)
        FROM written AS n WHERE n.is_active;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO instrument_registry.changes (instrument_key, index_id, before, after)
        SELECT c.instrument_key, c.index_id, c.before, c.after
        FROM (SELECT n.instrument_key, n.index_id, instrument_registry.membership_told_v1(o) AS before,
                  instrument_registry.membership_told_v1(n) AS after
              FROM written AS n JOIN removed AS o USING (id)
              WHERE n *<> o) AS c
        WHERE c.before IS DISTINCT FROM c.after;
    ELSE
        INSERT INTO instrument_registry.changes (instrument_key, index_id, before)
        SELECT o.instrument_key, o.index_id, instrument_registry.membership_told_v1(o)
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
