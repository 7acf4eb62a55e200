#!/bin/sh
# Run once by the database's image, as its superuser: a stand-in of the old database, with its tables and the role that
# the engine works with. In production its DBA has done this long ago, but for that role (docs/deployment.md).
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
CREATE ROLE screener_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE screener_app LOGIN PASSWORD :'app_password';
CREATE DATABASE screener OWNER screener_owner;
REVOKE ALL ON DATABASE screener FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE screener TO screener_owner, screener_app;
\connect screener
SET ROLE screener_owner;
\i /schema.sql
GRANT USAGE ON SCHEMA public TO screener_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO screener_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO screener_app;
SQL
