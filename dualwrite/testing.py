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

_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
 WHERE schemaname IN ('public', 'instrument_registry') AND tablename NOT IN ('django_migrations', 'django_content_type',
       'auth_permission')
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
        cursor.execute(_TABLES)
        tables = [row[0] for row in cursor.fetchall()]
        if tables:
            cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
    capture.install(store)
