-- Fills what follows from the row itself: the MIC of its exchange when none is given, and when the row last
-- changed. Only the database sees every writer (API, relay, SQL), so it does this for all of them.
CREATE FUNCTION instrument_registry.fill_instrument_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.mic IS NULL THEN
        NEW.mic := instrument_registry.mic_of_exchange_v1(NEW.exchange);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW IS DISTINCT FROM OLD THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER fill_instrument BEFORE INSERT OR UPDATE ON instrument_registry.instruments
    FOR EACH ROW EXECUTE FUNCTION instrument_registry.fill_instrument_v1();
