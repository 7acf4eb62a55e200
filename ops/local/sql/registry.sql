-- Run in the registry's database: the schema of its tables, and what the application's role {app} may do there.
-- {owner} creates the tables later, so the rights are default privileges. {app} owns nothing and creates nothing.
CREATE SCHEMA IF NOT EXISTS instrument_registry AUTHORIZATION {owner};
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {app};
GRANT USAGE ON SCHEMA instrument_registry TO {app};
GRANT USAGE ON SCHEMA public TO {app}, {owner};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA instrument_registry TO {app};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA instrument_registry TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA instrument_registry
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA instrument_registry
    GRANT USAGE, SELECT ON SEQUENCES TO {app};
