-- The schema of the registry's tables. Asked for first, because CREATE SCHEMA IF NOT EXISTS needs the right
-- to create schemas even where this one exists. Tables go where search_path says, so it must say this schema.
DO $$
BEGIN
    IF to_regnamespace('instrument_registry') IS NULL THEN
        CREATE SCHEMA instrument_registry;
    END IF;
    IF current_schema() IS DISTINCT FROM 'instrument_registry' THEN
        RAISE EXCEPTION 'the registry''s tables belong in schema instrument_registry, but search_path is "%"',
            current_setting('search_path')
            USING HINT = 'Connect with search_path=instrument_registry,public.';
    END IF;
END
$$;
