"""The sanctioned way for tests to empty both stores: triggers off, tables empty, triggers on again.

Nothing in the product calls this. It removes the engine from both databases, audit included, empties every table of
both, and installs the engine anew, so that each test starts at stage `off` with fences, epochs and ids at their
beginning. It refuses a database whose name does not begin with `test_`.
"""

from django.db import connections

from dualwrite import capture, router
from dualwrite.exceptions import Refused
from dualwrite.stages import Store
from dualwrite.stores import present

#: Tables that were written to since they were made or emptied. Emptying all takes ten times as long as asking, and a
#: table without a single page is as a new one.
_WRITTEN = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
 WHERE schemaname IN ('public', 'instrument_registry') AND tablename NOT IN ('django_migrations', 'django_content_type',
       'auth_permission') AND pg_relation_size(format('%I.%I', schemaname, tablename)::regclass) > 0
"""
#: Every number that a column of these schemas draws from begins anew, also where a test drew one and wrote nothing.
_RESTART = """
SELECT setval(s.seqrelid::regclass, s.seqstart, false)
  FROM pg_sequence s
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
   AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  JOIN pg_class c ON c.oid = d.refobjid
 WHERE c.relnamespace::regnamespace::text IN ('public', 'instrument_registry') AND c.relname NOT IN
       ('django_migrations', 'django_content_type', 'auth_permission')
"""
#: A test that turned a trigger off need not have turned it on again: the tables' own stay when the engine goes.
_SILENCED = """
SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE t.tgenabled = 'D' AND c.relnamespace::regnamespace::text IN ('public', 'instrument_registry')
"""


def reset_stores() -> None:
    """Bring both test databases back to the beginning; raises Refused for a database that is none."""
    for store in present():
        _reset(store)
    router.forget_roles()


def _reset(store: Store) -> None:
    name = str(connections[store.alias].settings_dict["NAME"])
    if not name.startswith("test_"):
        raise Refused(f"{name} is not a test database")
    with connections[store.alias].cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS dualwrite CASCADE")
        cursor.execute(_WRITTEN)
        tables = [row[0] for row in cursor.fetchall()]
        if tables:
            cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
        cursor.execute(_RESTART)
        cursor.execute(_SILENCED)
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    capture.install(store)
