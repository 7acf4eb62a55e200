-- Run in the screener's database once its tables exist: what {app} (the engine's role there) and {service} (which
-- stands for the old application) may do with them. Neither gets a right in any other schema here.
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {app}, {service};
GRANT USAGE ON SCHEMA public TO {app}, {service};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app}, {service};
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}, {service};
