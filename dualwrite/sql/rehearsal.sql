-- name: rights
-- What this account lacks to make and remove the scratch stream; no row means that it may.
SELECT format('role %s may not create a schema', current_user)
 WHERE NOT has_database_privilege(current_user, current_database(), 'CREATE')
UNION ALL
SELECT format('role %s may not add to the schema dualwrite', current_user)
 WHERE NOT has_schema_privilege(current_user, 'dualwrite', 'CREATE')
UNION ALL
SELECT format('role %s may not delete from %s', current_user, name)
  FROM unnest(ARRAY['dualwrite.stream_state', 'dualwrite.relay_fence', 'dualwrite.installation', 'dualwrite.outbox']) AS name
 WHERE NOT has_table_privilege(current_user, name, 'INSERT, DELETE')

-- name: make
-- The scratch table, which the engine's role reads and writes.
CREATE SCHEMA {schema};
COMMENT ON SCHEMA {schema} IS 'A rehearsal of a switch is under way; removed at its end, or by the next one.';
CREATE TABLE {table} (code text PRIMARY KEY, value bigint NOT NULL);
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role};

-- name: remove
-- Everything of the scratch stream but its lines in the audit. A schema that holds anything else is not dropped.
DROP TABLE IF EXISTS {table};
DROP SCHEMA IF EXISTS {schema};
DELETE FROM dualwrite.outbox WHERE lane BETWEEN {lanes} AND {lanes} | 127;
DELETE FROM dualwrite.touched WHERE stream = {stream};
DELETE FROM dualwrite.relay_fence WHERE stream = {stream};
DELETE FROM dualwrite.installation WHERE stream = {stream};
DELETE FROM dualwrite.stream_state WHERE stream = {stream};

-- name: insert
-- A new key.
INSERT INTO {table} (code, value) VALUES (%(code)s, %(value)s)

-- name: update
-- A key that is there.
UPDATE {table} SET value = %(value)s WHERE code = %(code)s

-- name: delete
-- A key that is there.
DELETE FROM {table} WHERE code = %(code)s

-- name: held
-- All there is.
SELECT code, value FROM {table}
