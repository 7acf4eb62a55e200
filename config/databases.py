"""DATABASES from the environment: two stores, and for each its owner's account where one is named.

`default` is the registry under the application's role, `screener` the old store under the engine's role. `owner` and
`screener_owner` exist only when MIGRATION_DATABASE_URL and SCREENER_MIGRATION_DATABASE_URL are set; schema changes use
them, nothing else does. Where there is no old store, SCREENER_DATABASE_URL says so; that it is not set is an error.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environ import Env

from dualwrite.session import SESSION

REGISTRY_SEARCH_PATH = "instrument_registry,public"
CONNECT_TIMEOUT_SECONDS = 5
FORM = "valid: postgres://USER:PASSWORD@HOST:PORT/NAME"
#: In place of the old store's address where there is no old store.
NO_OLD_STORE = "none"
POOL = {"min_size": 0, "max_size": 8, "timeout": 5}


def has_old_store(env: Env) -> bool:
    """Whether there is an old store, or may be; only the word for none says that there is not."""
    return bool(env.str("SCREENER_DATABASE_URL", "") != NO_OLD_STORE)


def databases(env: Env) -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES; raises ImproperlyConfigured when a store's URL is missing."""
    found = {"default": _database(env, "DATABASE_URL", REGISTRY_SEARCH_PATH, pooled=True)}
    if has_old_store(env):
        found["screener"] = _database(env, "SCREENER_DATABASE_URL", "public", pooled=True)
    for alias, variable, search_path, twin in (
        ("owner", "MIGRATION_DATABASE_URL", REGISTRY_SEARCH_PATH, "default"),
        ("screener_owner", "SCREENER_MIGRATION_DATABASE_URL", "public", "screener"),
    ):
        if env.str(variable, ""):
            if twin not in found:
                raise ImproperlyConfigured(f"{variable} is set, but SCREENER_DATABASE_URL is {NO_OLD_STORE}")
            found[alias] = _database(env, variable, search_path, pooled=False)
            # Tests see one database a store, not a second one for its owner.
            found[alias]["TEST"] = {"MIRROR": twin}
    return found


def _form(variable: str) -> str:
    none = f", or {NO_OLD_STORE} where there is no old store" if variable == "SCREENER_DATABASE_URL" else ""
    return f"{FORM}{none}"


def _database(env: Env, variable: str, search_path: str, *, pooled: bool) -> dict[str, Any]:
    if not env.str(variable, ""):
        raise ImproperlyConfigured(f"{variable} is not set; {_form(variable)}")
    if "://" not in env.str(variable):
        # It would be taken for the path of an address without server or name.
        raise ImproperlyConfigured(f"{variable} is no address of a database; {_form(variable)}")
    try:
        database: dict[str, Any] = dict(env.db_url(variable, engine="django_prometheus.db.backends.postgresql"))
    except ValueError as exc:
        raise ImproperlyConfigured(f"{variable} is no address of a database ({exc}); {_form(variable)}") from exc
    options = dict(database.get("OPTIONS", {}))
    options["connect_timeout"] = CONNECT_TIMEOUT_SECONDS
    options["options"] = f"{options.get('options', '')} {SESSION} -c search_path={search_path}".strip()
    # Only the web server pools: a command that meets a database that is away should say so at once.
    if pooled and env.bool("DATABASE_POOL", False):
        options["pool"] = dict(POOL)
    # A pooled connection may have died with the server since it was last used.
    database["CONN_HEALTH_CHECKS"] = True
    database["OPTIONS"] = options
    return database
