-- Run in each embedded database, as the superuser. {owner} owns the database and may create schemas in it.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {owner};
