-- name: write_nothing
-- A write that touches no row; rolled back. The trigger of the statement is asked before any row is looked for.
DELETE FROM {table} WHERE false

-- name: make_table
-- Only an owner of the schema may.
CREATE TABLE {table} (readiness integer)

-- name: make_schema
-- Only an owner of the database may.
CREATE SCHEMA {schema}

-- name: switch_triggers_off
-- Only an owner of the table may.
ALTER TABLE {table} DISABLE TRIGGER ALL

-- name: take_authority
-- Rows of the engine's state are made by its installation, never by the role that works with it.
INSERT INTO dualwrite.stream_state SELECT * FROM dualwrite.stream_state WHERE false

-- name: rewrite_audit
-- The audit is append-only.
DELETE FROM dualwrite.audit WHERE false
