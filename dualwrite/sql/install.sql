-- name: schema
-- The engine's own tables and shared functions, the same in both stores. Safe to run again.
CREATE SCHEMA IF NOT EXISTS dualwrite;
REVOKE ALL ON SCHEMA dualwrite FROM PUBLIC;

CREATE TABLE IF NOT EXISTS dualwrite.store_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store text NOT NULL CHECK (store IN ('screener', 'registry')),
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    peer_identity uuid,
    peer_place jsonb,
    installed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dualwrite.store_identity ADD COLUMN IF NOT EXISTS peer_place jsonb;
COMMENT ON TABLE dualwrite.store_identity IS 'Which store this is, and which other one it was paired with.';
COMMENT ON COLUMN dualwrite.store_identity.peer_place IS
    'Where the other store was when paired: server, its timeline, database and outbox. A copy of it is elsewhere.';

CREATE TABLE IF NOT EXISTS dualwrite.stream_state (
    stream text PRIMARY KEY,
    lanes integer NOT NULL UNIQUE,
    partitions integer NOT NULL DEFAULT 16 CHECK (partitions IN (1, 2, 4, 8, 16, 32, 64)),
    role text NOT NULL CHECK (role IN ('authority', 'mirror', 'fenced', 'detached')),
    epoch bigint NOT NULL DEFAULT 0,
    capture boolean NOT NULL DEFAULT false,
    generation bigint NOT NULL DEFAULT 0,
    backfilled boolean NOT NULL DEFAULT false,
    distrusted boolean NOT NULL DEFAULT false,
    peer_epoch bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dualwrite.stream_state ADD COLUMN IF NOT EXISTS partitions integer NOT NULL DEFAULT 16
    CHECK (partitions IN (1, 2, 4, 8, 16, 32, 64));
COMMENT ON COLUMN dualwrite.stream_state.partitions IS
    'Into how many parts the keys fall by their hash. The same in both stores, or nothing is relayed.';
COMMENT ON TABLE dualwrite.stream_state IS 'What this store is for each stream. The triggers obey it; only the engine changes it.';

CREATE TABLE IF NOT EXISTS dualwrite.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    lane integer NOT NULL,
    key text NOT NULL,
    cause "char" NOT NULL DEFAULT 'w',
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    others text[],
    PRIMARY KEY (lane, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
        -- A note of many keys is not worth compressing: it is read once, soon.
        toast_tuple_target = 8160);
COMMENT ON TABLE dualwrite.outbox IS 'Keys written here and not yet relayed to the other store.';
COMMENT ON COLUMN dualwrite.outbox.lane IS 'Stream, urgency and partition in one number, so that a note stays small: stream_state.lanes | partition, and | 64 for what yields to writes.';
COMMENT ON COLUMN dualwrite.outbox.cause IS 'w written, b backfill, r redriven.';
COMMENT ON COLUMN dualwrite.outbox.others IS 'Further keys of the lane, where one statement touched many; NULL for a note of one key.';

CREATE OR REPLACE VIEW dualwrite.waiting AS
    SELECT s.stream, o.lane & 63 AS partition, o.id, unnest(o.key || o.others) AS key, o.cause, o.noted_at
      FROM dualwrite.outbox o JOIN dualwrite.stream_state s ON s.lanes = o.lane & ~127;
COMMENT ON VIEW dualwrite.waiting IS 'Every key in the outbox, with the name of its stream.';

CREATE TABLE IF NOT EXISTS dualwrite.relay_fence (
    stream text NOT NULL,
    partition smallint NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    holder text,
    applied bigint NOT NULL DEFAULT 0,
    applied_at timestamptz,
    peer_noted bigint NOT NULL DEFAULT 0,
    peer_applied bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, partition)
) WITH (fillfactor = 50);
ALTER TABLE dualwrite.relay_fence ADD COLUMN IF NOT EXISTS peer_noted bigint NOT NULL DEFAULT 0;
ALTER TABLE dualwrite.relay_fence ADD COLUMN IF NOT EXISTS peer_applied bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE dualwrite.relay_fence IS 'Who may apply to this store as a mirror: only the relay whose epoch stands here.';
COMMENT ON COLUMN dualwrite.relay_fence.peer_noted IS 'The newest note of the other store''s outbox that was applied here.';
COMMENT ON COLUMN dualwrite.relay_fence.peer_applied IS 'What `applied` of the same row in the other store is known to have been.';

CREATE TABLE IF NOT EXISTS dualwrite.touched (
    stream text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    keys text[],
    number integer NOT NULL,
    applied_at timestamptz DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, id)
);
ALTER TABLE dualwrite.touched ADD COLUMN IF NOT EXISTS applied_at timestamptz DEFAULT clock_timestamp();
-- A batch's keys are written once and read once: not worth compressing.
ALTER TABLE dualwrite.touched ALTER COLUMN keys SET STORAGE EXTERNAL;
COMMENT ON TABLE dualwrite.touched IS 'Keys applied here since a validation looked at them; it removes what it has looked at.';
COMMENT ON COLUMN dualwrite.touched.keys IS 'NULL: there were too many, and they were dropped; everything is to be looked at.';
COMMENT ON COLUMN dualwrite.touched.number IS 'How many keys.';
COMMENT ON COLUMN dualwrite.touched.applied_at IS 'When they were applied; NULL for keys put back for another look.';

CREATE TABLE IF NOT EXISTS dualwrite.deleted (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    key text NOT NULL,
    row jsonb NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS deleted_of_key ON dualwrite.deleted (stream, md5(key));
COMMENT ON TABLE dualwrite.deleted IS 'Rows that were deleted here as the other store deleted them, kept for a while.';

CREATE TABLE IF NOT EXISTS dualwrite.installation (
    stream text PRIMARY KEY,
    version integer NOT NULL,
    fingerprint text NOT NULL,
    projection text,
    installed_at timestamptz NOT NULL DEFAULT now(),
    installed_by text NOT NULL DEFAULT session_user
);
ALTER TABLE dualwrite.installation ADD COLUMN IF NOT EXISTS projection text;
COMMENT ON COLUMN dualwrite.installation.projection IS
    'What the stream''s records are made of, as a digest: a relay that reads them otherwise does not relay.';
COMMENT ON TABLE dualwrite.installation IS 'What was installed for each stream, to notice when it is changed.';

CREATE TABLE IF NOT EXISTS dualwrite.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    role_name text NOT NULL DEFAULT session_user,
    verb text NOT NULL,
    stream text,
    reason text NOT NULL DEFAULT '',
    before jsonb,
    after jsonb,
    evidence jsonb
);
COMMENT ON TABLE dualwrite.audit IS 'Who changed what and why. Rows are only ever added.';

CREATE OR REPLACE FUNCTION dualwrite.audit_is_append_only_v1() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'dualwrite.audit is append-only' USING ERRCODE = 'DW003';
END $body$;
CREATE OR REPLACE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dualwrite.audit
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.audit_is_append_only_v1();
ALTER TABLE dualwrite.audit ENABLE ALWAYS TRIGGER audit_is_append_only;

-- For statements that find out what must not be: they refuse by calling it.
CREATE OR REPLACE FUNCTION dualwrite.refuse_v1(why text) RETURNS boolean LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION '%', why;
END
$body$;

-- Before each statement on a streamed table: who may write it now?
CREATE OR REPLACE FUNCTION dualwrite.guard_v1() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    streamed constant text := TG_ARGV[0];
    marker constant text := current_setting('dualwrite.relay', true);
    held text;
BEGIN
    -- The relay has locked the state row itself, and names stream and epoch. Anyone can set the marker, so it counts
    -- only from a role that has rights in this schema, only on a mirror, only for this stream and epoch.
    IF marker LIKE streamed || ':%' AND has_table_privilege(session_user, 'dualwrite.relay_fence', 'UPDATE') THEN
        PERFORM FROM dualwrite.stream_state s
         WHERE s.stream = streamed AND s.role = 'mirror' AND marker = s.stream || ':' || s.epoch;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    -- 1. Lock first. A switch takes this lock exclusively, so from here to commit the role cannot change. (It is never
    --    NULL; as a condition it costs half of what a statement costs, with every write.)
    IF pg_advisory_xact_lock_shared(25719, hashtext(streamed)) IS NULL THEN
        RAISE EXCEPTION 'stream %: no lock', streamed;
    END IF;
    -- 2. Only then read, in a statement of its own: its snapshot is newer than the lock. Under REPEATABLE READ the
    --    snapshot is older, so lock the row: if it changed since, the server raises a serialization error.
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        SELECT s.role INTO held FROM dualwrite.stream_state s WHERE s.stream = streamed FOR SHARE;
    ELSE
        SELECT s.role INTO held FROM dualwrite.stream_state s WHERE s.stream = streamed;
    END IF;

    IF held = 'authority' THEN
        RETURN NULL;
    ELSIF held IS NULL THEN
        RAISE EXCEPTION 'stream %: it is not known which store takes its writes', streamed
            USING ERRCODE = 'DW002', HINT = 'Run "manage.py dualwrite status" and "dualwrite install".';
    ELSIF held = 'fenced' THEN
        RAISE EXCEPTION 'stream %: a switch between the stores is under way, no write is taken now', streamed
            USING ERRCODE = 'DW001', HINT = 'Try again in a moment.';
    END IF;
    RAISE EXCEPTION 'stream %: the % store takes its writes, this one (%) does not', streamed,
        CASE TG_ARGV[1] WHEN 'screener' THEN 'registry' ELSE 'screener' END, TG_ARGV[1]
        USING ERRCODE = 'DW001', DETAIL = format('Role of this store: %s.', held);
END $body$;

-- name: grants
-- What the engine's role needs. The old application's roles get nothing here.
GRANT USAGE ON SCHEMA dualwrite TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA dualwrite TO {role};
GRANT UPDATE ON dualwrite.stream_state, dualwrite.relay_fence TO {role};
GRANT UPDATE (peer_identity, peer_place) ON dualwrite.store_identity TO {role};
GRANT SELECT, UPDATE ON SEQUENCE dualwrite.outbox_id_seq TO {role};
GRANT INSERT, DELETE ON dualwrite.outbox, dualwrite.touched, dualwrite.deleted TO {role};
GRANT INSERT ON dualwrite.audit TO {role};

-- name: missing_rights
-- What a role lacks to make the table equal to another one, as the statements that give it; nothing where there is no
-- table. On sequences UPDATE: a switch back sets those of the columns the relay writes; USAGE: a row without the column
-- draws from it, and a switch reads where it stands.
WITH target (oid) AS (SELECT to_regclass({table_name})),
columns AS (
    SELECT a.attrelid, a.attname AS name, a.attnum, a.attname = ANY ({written}::text[]) AS written
      FROM target t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE a.attname = ANY ({written}::text[] || {read}::text[])),
lacking (turn, privilege) AS (
    SELECT 1, 'SELECT' FROM target t WHERE NOT has_table_privilege({role}::name, t.oid, 'SELECT')
    UNION ALL
    SELECT 2, 'INSERT' WHERE EXISTS (
        SELECT FROM columns c WHERE c.written AND NOT has_column_privilege({role}::name, c.attrelid, c.attnum, 'INSERT'))
    UNION ALL
    SELECT 3, 'UPDATE' WHERE EXISTS (
        SELECT FROM columns c WHERE c.name = ANY ({changed}::text[])
                                AND NOT has_column_privilege({role}::name, c.attrelid, c.attnum, 'UPDATE'))
    UNION ALL
    SELECT 4, 'DELETE' FROM target t WHERE NOT has_table_privilege({role}::name, t.oid, 'DELETE')),
needed (name, privilege) AS (
    SELECT pg_get_serial_sequence({table_name}, c.name), 'UPDATE' FROM columns c WHERE c.written
    UNION
    SELECT pg_get_serial_sequence({table_name}, c.name), 'USAGE' FROM columns c
    UNION
    SELECT format('%I.%I', n.nspname, q.relname), 'USAGE'
      FROM target t
      JOIN pg_attrdef f ON f.adrelid = t.oid
      JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attname <> ALL ({written}::text[])
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S' JOIN pg_namespace n ON n.oid = q.relnamespace)
SELECT format('GRANT %s ON %s TO %I;', string_agg(privilege, ', ' ORDER BY turn), {table_name}, {role}::name)
  FROM lacking HAVING count(*) > 0
UNION ALL
SELECT format('GRANT %s ON SEQUENCE %s TO %I;', string_agg(privilege, ', ' ORDER BY privilege), name, {role}::name)
  FROM needed WHERE name IS NOT NULL AND NOT has_sequence_privilege({role}::name, name, privilege) GROUP BY name

-- name: rights
-- GRANT SELECT, INSERT, UPDATE, DELETE on the table and USAGE, UPDATE on its sequences to the engine's role, as far as it
-- lacks them: to read it, and to write it from the switch on, when this store is to follow. What belongs to somebody else
-- is told, for its owner to run.
DO $rights$
DECLARE missing text;
BEGIN
    FOR missing IN {missing_rights} LOOP
        BEGIN
            EXECUTE missing;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'for its owner to run: %', missing;
        END;
    END LOOP;
END $rights$;

-- name: identity
-- Which store this is; the identity is drawn once.
INSERT INTO dualwrite.store_identity (store) VALUES ({store}) ON CONFLICT DO NOTHING;

-- name: note_first
-- In a capture function: note up to 64 of the keys that a statement touched, each by itself.
INSERT INTO dualwrite.outbox (lane, key)
    SELECT {lanes} | (hashtextextended(noted.key, 0) & mask)::int, noted.key
      FROM (SELECT {key} AS key FROM (SELECT {key_columns} FROM {touched}) AS t LIMIT 64) AS noted

-- name: partition_mask
-- In a capture function: the bits of a key's hash that are its partition; NULL while this store notes nothing.
SELECT s.partitions - 1 INTO mask FROM dualwrite.stream_state s
     WHERE s.stream = {stream} AND s.role = 'authority' AND s.capture;
    IF mask IS NULL THEN
        RETURN NULL;
    END IF

-- name: stream
-- Rows, functions and triggers of one stream on its table.
DO $check$
BEGIN
    -- A write to a parent or child of the table would not be noted, nor one that moves a row to another partition.
    IF EXISTS (SELECT FROM pg_inherits i WHERE to_regclass({table_name}) IN (i.inhrelid, i.inhparent))
       OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = {table_name}::regclass AND c.relkind = 'r') THEN
        RAISE EXCEPTION '% is no plain table: partitions, parents and children of a table cannot be streamed', {table_name}
            USING ERRCODE = 'feature_not_supported';
    END IF;
    -- Made of other columns than those it is matched by, a key could change without being noted.
    PERFORM {key} FROM (SELECT {key_columns} FROM {table}) AS t LIMIT 0;
END $check$;

INSERT INTO dualwrite.stream_state (stream, lanes, role) VALUES ({stream}, {lanes}, {role}) ON CONFLICT DO NOTHING;
-- As many as there can be partitions, so that their number can change without a row being made.
INSERT INTO dualwrite.relay_fence (stream, partition)
    SELECT {stream}, p FROM generate_series(0, 63) AS p ON CONFLICT DO NOTHING;

-- A statement of up to 63 rows notes each of its keys by itself. Of a larger one 64 keys have been noted so when that is
-- seen; then all of its keys are noted, many in each note, as a row of its own for every key costs more than the write. So
-- some are noted twice, which is harmless, and nothing depends on the order in which a transition table is read.

-- After INSERT: note the new keys.
CREATE OR REPLACE FUNCTION dualwrite.{insert_function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mask integer;
    noted bigint;
BEGIN
    {partition_mask};
    {note_first_written};
    GET DIAGNOSTICS noted = ROW_COUNT;
    IF noted = 64 THEN
        {note_all_written};
    END IF;
    RETURN NULL;
END $body$;

-- After UPDATE: note the new keys. Old ones that differ are noted row by row, by the next function.
CREATE OR REPLACE FUNCTION dualwrite.{update_function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mask integer;
    noted bigint;
BEGIN
    {partition_mask};
    {note_first_written};
    GET DIAGNOSTICS noted = ROW_COUNT;
    IF noted = 64 THEN
        {note_all_written};
    END IF;
    RETURN NULL;
END $body$;

-- After UPDATE of a row that changed its key: note the old one.
CREATE OR REPLACE FUNCTION dualwrite.{rekey_function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mask integer;
BEGIN
    {partition_mask};
    INSERT INTO dualwrite.outbox (lane, key)
    SELECT {lanes} | (hashtextextended(noted.key, 0) & mask)::int, noted.key
      FROM (SELECT {key} AS key FROM (SELECT {old_key_columns}) AS t) AS noted;
    RETURN NULL;
END $body$;

-- After DELETE: note the keys that went.
CREATE OR REPLACE FUNCTION dualwrite.{delete_function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mask integer;
    noted bigint;
BEGIN
    {partition_mask};
    {note_first_removed};
    GET DIAGNOSTICS noted = ROW_COUNT;
    IF noted = 64 THEN
        {note_all_removed};
    END IF;
    RETURN NULL;
END $body$;

-- Before TRUNCATE: note every key while the table still has them. The table is locked already, so nothing is missed,
-- except under an old snapshot, which does not show rows committed since: refused.
CREATE OR REPLACE FUNCTION dualwrite.{truncate_function}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mask integer;
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'TRUNCATE of %: only under READ COMMITTED, as an older snapshot does not see every row', TG_RELID::regclass
            USING ERRCODE = 'DW004';
    END IF;
    {partition_mask};
    -- A note's number is drawn only by a transaction that has one itself: see relay/horizon.py.
    PERFORM pg_current_xact_id();
    {note_all_of_table};
    RETURN NULL;
END $body$;

-- Triggers of one event fire in the order of their names: guard (a) before capture (b).
CREATE OR REPLACE TRIGGER dualwrite_a_guard BEFORE INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.guard_v1({stream}, {store});
CREATE OR REPLACE TRIGGER dualwrite_a_guard_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.guard_v1({stream}, {store});
CREATE OR REPLACE TRIGGER dualwrite_b_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.{truncate_function}();
CREATE OR REPLACE TRIGGER dualwrite_b_insert AFTER INSERT ON {table} REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.{insert_function}();
CREATE OR REPLACE TRIGGER dualwrite_b_update AFTER UPDATE ON {table} REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.{update_function}();
CREATE OR REPLACE TRIGGER dualwrite_b_rekey AFTER UPDATE ON {table}
    FOR EACH ROW WHEN ({key_columns_differ}) EXECUTE FUNCTION dualwrite.{rekey_function}();
CREATE OR REPLACE TRIGGER dualwrite_b_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION dualwrite.{delete_function}();

-- Also for sessions in replica mode.
ALTER TABLE {table}
    ENABLE ALWAYS TRIGGER dualwrite_a_guard, ENABLE ALWAYS TRIGGER dualwrite_a_guard_truncate,
    ENABLE ALWAYS TRIGGER dualwrite_b_truncate, ENABLE ALWAYS TRIGGER dualwrite_b_insert,
    ENABLE ALWAYS TRIGGER dualwrite_b_update, ENABLE ALWAYS TRIGGER dualwrite_b_rekey,
    ENABLE ALWAYS TRIGGER dualwrite_b_delete;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA dualwrite FROM PUBLIC;

-- name: record
-- Remember what stands in the catalogue now, to notice a change.
INSERT INTO dualwrite.installation (stream, version, fingerprint, projection)
SELECT {stream}, {version}, fingerprint, {projection} FROM ({fingerprint}) AS live
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, fingerprint = excluded.fingerprint,
        projection = excluded.projection, installed_at = now(), installed_by = session_user;

-- name: fingerprint
-- One text over the table's columns, its triggers and their functions as the catalogue has them now. Made of what is
-- stored, not of what the server prints: that depends on the search_path and on the server's version.
SELECT md5(string_agg(part, E'\n' ORDER BY part COLLATE "C")) AS fingerprint FROM (
    SELECT format('column %s %s %s %s %s', a.attnum, a.attname, a.atttypid::int8, a.atttypmod, (a.attnotnull, a.attgenerated))
      FROM pg_attribute a WHERE a.attrelid = to_regclass({table_name}) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    -- The condition alone is taken as the server prints it, since that is the same wherever it can be.
    SELECT format('trigger %s %s %s %s %s %s %s %s', g.tgname, g.tgtype, g.tgenabled, encode(g.tgargs, 'hex'), g.tgoldtable,
                  g.tgnewtable, g.tgattr, substring(pg_get_triggerdef(g.oid) FROM ' WHEN (.*) EXECUTE '))
      FROM pg_trigger g WHERE g.tgrelid = to_regclass({table_name}) AND g.tgname LIKE 'dualwrite\_%'
    UNION ALL
    SELECT format('function %s %s %s %s %s', p.proname, p.prosecdef, p.provolatile, p.proconfig, md5(p.prosrc))
      FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
     WHERE g.tgrelid = to_regclass({table_name}) AND g.tgname LIKE 'dualwrite\_%'
) AS parts (part)

-- name: problems
-- What of the installation of one stream is not as it should be; no row means capture can be relied on.
WITH expected (name) AS (VALUES ('dualwrite_a_guard'), ('dualwrite_a_guard_truncate'), ('dualwrite_b_truncate'),
                                ('dualwrite_b_insert'), ('dualwrite_b_update'), ('dualwrite_b_rekey'), ('dualwrite_b_delete')),
found AS (SELECT g.tgname AS name, g.tgenabled FROM pg_trigger g WHERE g.tgrelid = to_regclass({table_name})),
installed AS (SELECT i.version, i.fingerprint, to_jsonb(i) ->> 'projection' AS projection
                FROM dualwrite.installation i WHERE i.stream = {stream})
SELECT 'table ' || {table_name} || ' does not exist' WHERE to_regclass({table_name}) IS NULL
UNION ALL
SELECT 'table ' || {table_name} || ' has a parent or children, and what is written to those goes unnoted'
 WHERE EXISTS (SELECT FROM pg_inherits i WHERE to_regclass({table_name}) IN (i.inhrelid, i.inhparent))
UNION ALL
SELECT format('column %s is computed when it is read, so triggers do not see it', a.attname)
  FROM pg_attribute a
 WHERE a.attrelid = to_regclass({table_name}) AND a.attname = ANY ({key_column_names}) AND a.attgenerated = 'v'
UNION ALL
SELECT 'trigger ' || e.name || ' is missing' FROM expected e LEFT JOIN found f USING (name) WHERE f.name IS NULL
UNION ALL
SELECT 'trigger ' || f.name || ' is not enabled for every session' FROM expected e JOIN found f USING (name) WHERE f.tgenabled <> 'A'
UNION ALL
SELECT 'nothing is recorded as installed' WHERE NOT EXISTS (SELECT FROM installed)
UNION ALL
SELECT format('version %s is installed, this program needs %s', i.version, {version}) FROM installed i WHERE i.version <> {version}
UNION ALL
SELECT 'version of the records: those installed are made otherwise than this program makes them'
  FROM installed i WHERE i.projection IS DISTINCT FROM {projection}
UNION ALL
SELECT 'the table, a trigger or a function was changed since it was installed'
  FROM installed i, ({fingerprint}) AS live WHERE i.fingerprint IS DISTINCT FROM live.fingerprint
UNION ALL
SELECT format('the database is encoded in %s; records are compared in UTF8', current_setting('server_encoding'))
 WHERE current_setting('server_encoding') <> 'UTF8'
UNION ALL
SELECT format('role %s may not create temporary tables', current_user)
 WHERE NOT has_database_privilege(current_user, current_database(), 'TEMP')
UNION ALL
SELECT format('role %s lacks %s on %s', current_user, p.privilege, {table_name}) FROM unnest({privileges}::text[]) AS p (privilege)
 WHERE to_regclass({table_name}) IS NOT NULL AND NOT has_table_privilege(current_user, to_regclass({table_name}), p.privilege)

UNION ALL
SELECT format('role %s lacks what following the other store needs: %s', current_user, string_agg(m.statement, ' '))
  FROM ({missing_rights}) AS m (statement)
 WHERE {follows} AND EXISTS (SELECT FROM dualwrite.stream_state s WHERE s.stream = {stream} AND s.role = 'mirror')
HAVING count(*) > 0

-- name: installed
-- Whether the engine's schema is there.
SELECT to_regclass('dualwrite.stream_state') IS NOT NULL

-- name: of_two_stores
-- Streams in the middle of their way from the old store to this one.
SELECT stream, CASE role WHEN 'authority' THEN 'mirrored' ELSE role END FROM dualwrite.stream_state
 WHERE stream = ANY (%(streams)s) AND (role <> 'authority' OR capture) ORDER BY stream

-- name: uninstall_stream
-- Take the triggers of one stream off its table.
DROP TRIGGER IF EXISTS dualwrite_a_guard ON {table};
DROP TRIGGER IF EXISTS dualwrite_a_guard_truncate ON {table};
DROP TRIGGER IF EXISTS dualwrite_b_truncate ON {table};
DROP TRIGGER IF EXISTS dualwrite_b_insert ON {table};
DROP TRIGGER IF EXISTS dualwrite_b_update ON {table};
DROP TRIGGER IF EXISTS dualwrite_b_rekey ON {table};
DROP TRIGGER IF EXISTS dualwrite_b_delete ON {table};

-- name: uninstall_stream_functions
-- Drop the capture functions of one stream.
DROP FUNCTION IF EXISTS dualwrite.{insert_function}(), dualwrite.{update_function}(), dualwrite.{rekey_function}(),
    dualwrite.{delete_function}(), dualwrite.{truncate_function}();

-- name: uninstall_shared
-- Nothing is noted or guarded any more, so what stands here proves nothing: a later installation begins a new generation,
-- and relays of before are refused. The tables stay, so that epochs and generations never come twice, and so does the audit.
DELETE FROM dualwrite.installation;
DELETE FROM dualwrite.outbox;
DELETE FROM dualwrite.touched;
UPDATE dualwrite.relay_fence SET epoch = epoch + 1, holder = NULL;
UPDATE dualwrite.stream_state SET capture = false, backfilled = false, generation = generation + 1, changed_at = now(),
       role = CASE role WHEN 'mirror' THEN 'detached' ELSE role END;
DROP FUNCTION IF EXISTS dualwrite.guard_v1(), dualwrite.refuse_v1(text);

-- name: distrust
-- Writes may have gone unnoted: what was backfilled and proven counts no longer, nor does a backfill under way. Once
-- until the next enable, however often the damage is seen.
-- A mirror is distrusted as well: somebody else may have written it unseen.
UPDATE dualwrite.stream_state SET backfilled = false, distrusted = true, generation = generation + 1, changed_at = now()
 WHERE stream = {stream} AND (role = 'authority' AND capture OR role = 'mirror') AND NOT distrusted
