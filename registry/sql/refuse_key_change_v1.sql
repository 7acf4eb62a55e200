-- Keys are immutable: a changed key would be a delete and an insert that nobody captured as such.
CREATE FUNCTION instrument_registry.refuse_key_change_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the key of %.% cannot be changed: delete the row and insert another', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_key_change BEFORE UPDATE ON instrument_registry.instruments FOR EACH ROW
    WHEN (OLD.instrument_key IS DISTINCT FROM NEW.instrument_key)
    EXECUTE FUNCTION instrument_registry.refuse_key_change_v1();

CREATE TRIGGER refuse_key_change BEFORE UPDATE ON instrument_registry.indices FOR EACH ROW
    WHEN (OLD.index_id IS DISTINCT FROM NEW.index_id)
    EXECUTE FUNCTION instrument_registry.refuse_key_change_v1();

CREATE TRIGGER refuse_key_change BEFORE UPDATE ON instrument_registry.index_memberships FOR EACH ROW
    WHEN ((OLD.id, OLD.instrument_key, OLD.index_id) IS DISTINCT FROM (NEW.id, NEW.instrument_key, NEW.index_id))
    EXECUTE FUNCTION instrument_registry.refuse_key_change_v1();
