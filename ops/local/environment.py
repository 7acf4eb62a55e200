"""Which servers are used: those the environment names, else the embedded ones. Nothing is started here."""

from collections.abc import Mapping
from dataclasses import dataclass

from ops.local.credentials import Credentials
from ops.local.errors import UsageError

DATABASES = ("DATABASE_URL", "SCREENER_DATABASE_URL")
MIGRATION = ("MIGRATION_DATABASE_URL", "SCREENER_MIGRATION_DATABASE_URL")
#: In place of the old store's address where there is no old store.
NO_OLD_STORE = "none"
DUAL_WRITE = "INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED"


@dataclass(frozen=True)
class Plan:
    """Whether each embedded server is needed."""

    postgres: bool
    valkey: bool


def has_old_store(environment: Mapping[str, str]) -> bool:
    """Whether `environment` does not say that there is no old store."""
    return environment.get("SCREENER_DATABASE_URL") != NO_OLD_STORE


def plan(environment: Mapping[str, str]) -> Plan:
    """What to start for `environment`. Raises UsageError when it names only some of the databases."""
    given = [name for name in DATABASES if environment.get(name)]
    missing = [name for name in DATABASES if not environment.get(name)]
    stray = [name for name in MIGRATION if environment.get(name)]
    if missing and (given or stray):
        named = " and ".join(given or stray)
        raise UsageError(
            f"{' and '.join(missing)} is not set, but {named} is: set DATABASE_URL and SCREENER_DATABASE_URL "
            "both to use your own servers, or neither to use the embedded ones; "
            f"SCREENER_DATABASE_URL={NO_OLD_STORE} says that there is no old store."
        )
    return Plan(postgres=not given, valkey=not environment.get("REDIS_URL"))


def application(environment: Mapping[str, str], credentials: Credentials) -> dict[str, str]:
    """The complete environment of manage.py and everything beside it."""
    needed = plan(environment)
    merged = dict(environment)
    if needed.postgres:
        merged |= {name: credentials.values[name] for name in (*DATABASES, *MIGRATION)}
    if needed.valkey:
        merged["REDIS_URL"] = credentials.values["REDIS_URL"]
    for name in ("SECRET_KEY", "INTERNAL_API_KEY"):
        merged.setdefault(name, credentials.values[name])
    merged.setdefault(DUAL_WRITE, "true")
    merged.setdefault("HTTPS_ONLY", "false")  # it serves this machine alone
    merged.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    merged.setdefault("PYTHONUNBUFFERED", "1")
    # For people; without it the application logs JSON.
    merged.setdefault("LOG_FORMAT", "console")
    return merged


def superuser(environment: Mapping[str, str], credentials: Credentials) -> dict[str, str]:
    """As `application`, but with an account that may create databases: what tests and benchmarks need."""
    merged = application(environment, credentials)
    if plan(environment).postgres:
        server = credentials.values["POSTGRES_URL"].rpartition("/")[0]
        merged |= {"DATABASE_URL": f"{server}/registry", "SCREENER_DATABASE_URL": f"{server}/screener"}
        for name in MIGRATION:
            merged.pop(name)
    return merged
