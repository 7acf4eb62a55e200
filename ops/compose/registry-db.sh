#!/bin/sh
# Run once by the database's image, as its superuser: the registry's roles and database. Passwords come by the
# environment and go to the server as bound variables, never by the command line.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
CREATE ROLE registry_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE registry_app LOGIN PASSWORD :'app_password';
CREATE DATABASE registry OWNER registry_owner;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE registry TO registry_owner, registry_app;
\connect registry
CREATE SCHEMA instrument_registry AUTHORIZATION registry_owner;
CREATE EXTENSION btree_gist WITH SCHEMA public;
GRANT USAGE ON SCHEMA instrument_registry TO registry_app;
GRANT USAGE ON SCHEMA public TO registry_app, registry_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE registry_owner IN SCHEMA instrument_registry
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO registry_app;
ALTER DEFAULT PRIVILEGES FOR ROLE registry_owner IN SCHEMA instrument_registry
    GRANT USAGE, SELECT ON SEQUENCES TO registry_app;
SQL
