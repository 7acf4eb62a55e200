-- The history of memberships together with its archive. Every question about spells is put to this view: in the
-- snapshot of one statement a version is in exactly one of the two tables, whatever is archived or restored meanwhile.
-- It reads with the rights of whoever asks, like the tables themselves.
CREATE VIEW instrument_registry.index_membership_history_all WITH (security_invoker = true) AS
SELECT id, instrument_key, index_id, spell, recorded_at, superseded_at, source
FROM instrument_registry.index_membership_history
UNION ALL
SELECT id, instrument_key, index_id, spell, recorded_at, superseded_at, source
FROM instrument_registry.index_membership_history_archive;

-- An archived version is never rewritten. It may be deleted: a restore takes it out and puts it back into the history.
CREATE FUNCTION instrument_registry.refuse_archive_rewrite_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an archived version of a spell is never rewritten: restore it first'
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_archive_rewrite BEFORE UPDATE ON instrument_registry.index_membership_history_archive
    FOR EACH ROW EXECUTE FUNCTION instrument_registry.refuse_archive_rewrite_v1();

-- Refuses what the exclusion constraint of the history refused before the older version was archived: a current
-- version that overlaps another current one of its instrument and index.
--
-- No race with an archiver, which deletes a version and inserts it into the archive in one transaction A:
-- * A has not yet deleted it: the constraint of the history refuses the insert, or lets it wait for A. A rolled back:
--   it refuses. A committed: it lets the row in, and only then does this trigger run.
-- * So whenever the constraint saw no version because A had taken it away, A is committed before this trigger runs.
--   Under READ COMMITTED each statement of a VOLATILE function takes a new snapshot, and finds it in the archive.
-- * Under REPEATABLE READ the snapshot may be older than A, and this finds nothing. Then the archive's own exclusion
--   constraint is asked, which looks at what is there now and waits for who is at work: the rows are put into the
--   archive and taken back. What it finds is told as what it is, a transaction that is to be tried again; the next
--   attempt sees the version.
-- * The row comes first, before A begins: A cannot make an overlap out of it, since it moves only what got past this.
-- A restore deletes from the archive in the statement that inserts here, or earlier in its transaction: either way its
-- own deletes are seen, and the versions it takes back are in the way of none.
--
-- An import locks the history against every insert and delete and reads the view before it inserts: what it was not
-- stopped by is not in the archive, and cannot come into it before its end.
CREATE FUNCTION instrument_registry.refuse_archived_overlap_v1() RETURNS trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    overlap record;
BEGIN
    SELECT n.instrument_key, n.index_id, n.spell, a.spell AS archived INTO overlap
    FROM inserted AS n
    JOIN instrument_registry.index_membership_history_archive AS a USING (instrument_key, index_id)
    WHERE n.superseded_at IS NULL AND a.superseded_at IS NULL AND n.spell && a.spell
    ORDER BY n.id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the spell % of % in % overlaps the archived spell %',
            overlap.spell, overlap.instrument_key, overlap.index_id, overlap.archived
            USING ERRCODE = 'exclusion_violation',
                HINT = 'Restore the archived version first, then supersede it.';
    END IF;
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        BEGIN
            INSERT INTO instrument_registry.index_membership_history_archive
                (id, instrument_key, index_id, spell, recorded_at, source)
            -- The archive takes no spell without an end; this one has the same days.
            SELECT id, instrument_key, index_id, daterange(lower(spell), coalesce(upper(spell), 'infinity')),
                recorded_at, source
            FROM inserted
            WHERE superseded_at IS NULL;
            RAISE EXCEPTION USING ERRCODE = 'IRBAK', MESSAGE = 'taken back';
        EXCEPTION
            WHEN SQLSTATE 'IRBAK' THEN
                NULL;
            WHEN exclusion_violation THEN
                RAISE EXCEPTION 'a spell that overlaps an inserted one was archived since this transaction began'
                    USING ERRCODE = 'serialization_failure';
        END;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER refuse_archived_overlap AFTER INSERT ON instrument_registry.index_membership_history
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION instrument_registry.refuse_archived_overlap_v1();
