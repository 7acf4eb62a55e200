"""DATABASES from the environment: two stores, and for each its owner's account where one is named.

`default` is the registry under the application's role, `screener` the old store under the engine's role. `owner` and
`screener_owner` exist only when MIGRATION_DATABASE_URL and SCREENER_MIGRATION_DATABASE_URL are set; schema changes use
them, nothing else does.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environ import Env

from dualwrite.session import SESSION

REGISTRY_SEARCH_PATH = "instrument_registry,public"
CONNECT_TIMEOUT_SECONDS = 5
FORM = "valid: postgres://USER:PASSWORD@HOST:PORT/NAME"
POOL = {"min_size": 0, "max_size": 8, "timeout": 5}


def databases(env: Env) -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES; raises ImproperlyConfigured when a store's URL is missing."""
    found = {
        "default": _database(env, "DATABASE_URL", REGISTRY_SEARCH_PATH, pooled=True),
        "screener": _database(env, "SCREENER_DATABASE_URL", "public", pooled=True),
    }
    for alias, variable, search_path, twin in (
        ("owner", "MIGRATION_DATABASE_URL", REGISTRY_SEARCH_PATH, "default"),
        ("screener_owner", "SCREENER_MIGRATION_DATABASE_URL", "public", "screener"),
    ):
        if env.str(variable, ""):
            found[alias] = _database(env, variable, search_path, pooled=False)
            # Tests see one database a store, not a second one for its owner.
            found[alias]["TEST"] = {"MIRROR": twin}
    return found


def _database(env: Env, variable: str, search_path: str, *, pooled: bool) -> dict[str, Any]:
    if not env.str(variable, ""):
        raise ImproperlyConfigured(f"{variable} is not set; {FORM}")
    try:
        database: dict[str, Any] = dict(env.db_url(variable, engine="django_prometheus.db.backends.postgresql"))
    except ValueError as exc:
        raise ImproperlyConfigured(f"{variable} is no address of a database ({exc}); {FORM}") from exc
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
