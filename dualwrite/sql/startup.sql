-- name: excess
-- What the current role may do and needs not: be a superuser, make tables where the records are, write the engine's own
-- rows. One sentence each.
SELECT format('role %%s is a superuser', current_user) FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT format('role %%s may make tables in schema %%s', current_user, n.nspname) FROM pg_namespace AS n
 WHERE n.nspname = CASE %(store)s WHEN 'registry' THEN 'instrument_registry' ELSE 'public' END
   AND has_schema_privilege(n.oid, 'CREATE')
   AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper)
