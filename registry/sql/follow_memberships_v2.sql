-- Keeps index_membership_history in step with index_memberships, whoever writes: gathers the pairs a
-- statement touched and has them settled, once per statement. An update that changes neither is_active nor
-- date_added costs one comparison per row. As v1, with settle_spells_v2.
CREATE FUNCTION instrument_registry.follow_inserted_memberships_v2() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM instrument_registry.settle_spells_v2(array_agg(n.instrument_key), array_agg(n.index_id))
    FROM written AS n
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION instrument_registry.follow_updated_memberships_v2() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM instrument_registry.settle_spells_v2(array_agg(n.instrument_key), array_agg(n.index_id))
    FROM written AS n
    JOIN removed AS o USING (id)
    WHERE (o.is_active, o.date_added) IS DISTINCT FROM (n.is_active, n.date_added)
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION instrument_registry.follow_deleted_memberships_v2() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM instrument_registry.settle_spells_v2(array_agg(o.instrument_key), array_agg(o.index_id))
    FROM removed AS o
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

-- TRUNCATE has no transition table and would leave nothing to read afterwards: it is done as the delete it
-- stands for, whose own trigger then closes the spells.
CREATE FUNCTION instrument_registry.follow_truncated_memberships_v2() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM instrument_registry.index_memberships;
    RETURN NULL;
END
$$;

CREATE TRIGGER follow_inserted_memberships AFTER INSERT ON instrument_registry.index_memberships
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.follow_inserted_memberships_v2();

CREATE TRIGGER follow_updated_memberships AFTER UPDATE ON instrument_registry.index_memberships
    REFERENCING OLD TABLE AS removed NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.follow_updated_memberships_v2();

CREATE TRIGGER follow_deleted_memberships AFTER DELETE ON instrument_registry.index_memberships
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.follow_deleted_memberships_v2();

CREATE TRIGGER follow_truncated_memberships BEFORE TRUNCATE ON instrument_registry.index_memberships
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.follow_truncated_memberships_v2();
