"""The questions. Each returns a sentence about what it found, or raises Unhealthy with one about what is missing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.core.checks import Error, run_checks
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from dualwrite import capture, switch
from dualwrite.checks import check_streams
from dualwrite.configuration.refresh import first_look
from dualwrite.monitoring.checks.config_service import ConfigServiceCheck
from dualwrite.monitoring.checks.redis import RedisCheck
from dualwrite.monitoring.checks.store import StoreCheck
from dualwrite.monitoring.exceptions import Down
from dualwrite.schedule.entries import ENTRIES, missing
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, failing, present
from dualwrite.stream import all_streams

PARAMETERS_SECONDS = 3.0
#: What is told of a list.
SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One question; `blocks`: no request is taken while it is not answered well; `needs`: stores it asks."""

    name: str
    ask: Callable[[], str]
    mend: str
    blocks: bool = False
    needs: tuple[Store, ...] = ()
    limit_seconds: float = 10.0


def parameters() -> str:
    """The configuration source first; without it, safe values are in force."""
    read = first_look(PARAMETERS_SECONDS)
    found = ConfigServiceCheck().run()
    if not read:
        raise Down("they cannot be read; what the environment and the defaults say counts")
    return "read, the config service answers" if found["configured"] else "read; there is no config service"


def settings() -> str:
    """What Django's own checks and the engine's find wrong."""
    wrong = [str(found.msg) for found in run_checks() if isinstance(found, Error)]
    if wrong:
        raise Down(_listed(wrong))
    return "as they should be"


def store(which: Store) -> Callable[[], str]:
    """Whether the store answers and takes writes."""

    def ask() -> str:
        StoreCheck(name=which.value, store=which, mend="").run()
        return "answers, takes writes"

    return ask


def redis() -> str:
    """Whether it answers."""
    RedisCheck().run()
    return "answers"


def migrations() -> str:
    """Whether every migration of this code was applied; those of a newer one do no harm."""
    with failing(Store.REGISTRY):
        loader = MigrationLoader(connections[Store.REGISTRY.alias])
        # Not the plan of migrate: that passes over a gap below one that was applied.
        missing = sorted(set(loader.graph.nodes) - set(loader.applied_migrations))
    if missing:
        raise Down(f"{len(missing)} were not applied: {_listed(map('.'.join, missing))}")
    return "all applied"


def router() -> str:
    """Whether each stream's models go to their stores."""
    wrong = [str(found.msg) for found in check_streams(None)]
    if wrong:
        raise Down(_listed(wrong))
    return f"{len(all_streams())} streams go to their stores"


def triggers(which: Store) -> Callable[[], str]:
    """Whether writes in the store are noted as installed."""

    def ask() -> str:
        found = {stream.name: capture.problems(stream, which) for stream in all_streams()}
        wrong = [f"{name}: {'; '.join(problems)}" for name, problems in found.items() if problems]
        if wrong:
            raise Down(_listed(wrong))
        return f"whole for {len(found)} streams"

    return ask


def roles() -> str:
    """Whether the roles have no more rights than they need."""
    wrong = [f"{which}: {why}" for which in present() for why in excess(which)]
    if wrong:
        raise Down(_listed(wrong))
    return "none may change a schema"


def excess(which: Store) -> list[str]:
    """What the role of the store may do and should not; raises StoreUnreachable."""
    with cursor(which) as found:
        found.execute(statement("startup", "excess"), {"store": which.value})
        return [str(row[0]) for row in found.fetchall()]


def identities() -> str:
    """Whether both stores are the ones that were paired."""
    if Store.SCREENER not in present():
        return "there is no old store"
    switch.require_pair()
    return "the stores are as they remember each other"


def schedule() -> str:
    """Whether every task has a row."""
    with failing(Store.REGISTRY):
        lacking = missing()
    if lacking:
        raise Down(f"no row calls {_listed(lacking)}")
    return f"{len(ENTRIES)} tasks"


def steps() -> tuple[Step, ...]:
    """In the order in which they are asked."""
    registry = (Store.REGISTRY,)
    return (
        Step("parameters", parameters, "start the registry's database, or the config service"),
        Step("settings", settings, "correct what is named, then start again", blocks=True),
        Step("registry", store(Store.REGISTRY), "start its server, or correct DATABASE_URL", blocks=True),
        *_of_old_store(Step("screener", store(Store.SCREENER), "start its server, or correct SCREENER_DATABASE_URL")),
        Step("redis", redis, "start it, or correct REDIS_URL; until then no task runs"),
        Step("migrations", migrations, "manage.py migrate", blocks=True, needs=registry),
        Step("router", router, "correct DATABASE_ROUTERS, or the stream's declaration", blocks=True),
        Step(
            "triggers registry",
            triggers(Store.REGISTRY),
            "manage.py dualwrite install --store registry",
            blocks=True,
            needs=registry,
        ),
        *_of_old_store(
            Step(
                "triggers screener",
                triggers(Store.SCREENER),
                "manage.py dualwrite install --store screener, or its DBA runs what manage.py dualwrite sql prints",
                needs=(Store.SCREENER,),
            )
        ),
        Step("roles", roles, "give the service roles of its own, see docs/deployment.md", needs=present()),
        Step("identities", identities, "docs/runbooks/store-went-back.md", needs=present()),
        Step("schedule", schedule, "manage.py schedule --seed", needs=registry),
    )


def _of_old_store(step: Step) -> tuple[Step, ...]:
    return (step,) if Store.SCREENER in present() else ()


def _listed(found: Iterable[str]) -> str:
    known = list(found)
    return "; ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
