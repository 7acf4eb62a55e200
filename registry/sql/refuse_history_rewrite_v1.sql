-- A version of a spell is never rewritten: the only change it knows is being superseded, once.
CREATE FUNCTION instrument_registry.refuse_history_rewrite_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a spell is never rewritten: set superseded_at and insert another version'
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_history_rewrite BEFORE UPDATE ON instrument_registry.index_membership_history FOR EACH ROW
    WHEN (OLD.superseded_at IS NOT NULL
        OR (OLD.id, OLD.instrument_key, OLD.index_id, OLD.spell, OLD.recorded_at, OLD.source)
            IS DISTINCT FROM (NEW.id, NEW.instrument_key, NEW.index_id, NEW.spell, NEW.recorded_at, NEW.source))
    EXECUTE FUNCTION instrument_registry.refuse_history_rewrite_v1();
