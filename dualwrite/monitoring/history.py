"""How every component was: a row for each look, and what the rows tell over an hour, a day and thirty days.

`record` is what the task of every five minutes calls. A row speaks until the next one, for ten minutes at most; what no
row speaks for is blind time (`objectives`).

How it can fail, and the answer:

* the registry is away, so that just its own outage could not be kept → the process remembers what it found, up to a
  limit, and adds it once the registry is back; what dies with the process is blind time;
* two processes record at the same moment → two rows, each of which speaks until the next;
* a check hangs → it is DOWN after its limit, and the others are recorded all the same;
* rows grow without end → those older than HEALTH_KEPT_DAYS are removed here, some thousands at a time; none where that
  parameter is no number of days;
* the clocks of two workers differ → rows are put in order by their time, and one in the future speaks for nothing yet.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from dualwrite.exceptions import InvalidParameter, StoreFailed, StoreUnreachable
from dualwrite.models import HealthRecord
from dualwrite.monitoring import canaries
from dualwrite.monitoring.canaries import Flown
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.checks.canary import NAME as CANARY
from dualwrite.monitoring.health import Report, Result, run_checks
from dualwrite.monitoring.objectives import BUDGET_WINDOW, WINDOWS, Seen, budget, objective_of
from dualwrite.monitoring.status import Status
from dualwrite.parameters import HEALTH_KEPT_DAYS
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, failing

log = logging.getLogger(__name__)

Values: TypeAlias = dict[str, datetime | float]

#: How long a look speaks for what comes after it: two of the periods in which one is made.
SPEAKS_SECONDS = 600.0
#: Looks that are remembered while the registry is away: a day and more of them.
MOST_REMEMBERED = 5_000
#: Rows removed at a time.
MOST_PRUNED = 20_000

_remembered: deque[HealthRecord] = deque(maxlen=MOST_REMEMBERED)
_guard = threading.Lock()


def record(now: datetime) -> Report:
    """Look at everything, canaries first, and keep what was found; old rows are removed. Raises nothing foreseen."""
    flown = canaries.fly()
    _keep([_of_canary(one, now) for one in flown])
    report = run_checks(ALL)
    _keep([_of_check(one, now) for one in report.results])
    _forget_old(now)
    return report


def _of_canary(one: Flown, now: datetime) -> HealthRecord:
    return HealthRecord(
        at=now, component=CANARY, subject=one.stream, status=one.status.value, seconds=one.seconds, error=one.error
    )


def _of_check(one: Result, now: datetime) -> HealthRecord:
    error = "" if one.status is Status.UP else str(one.details.get("error", one.status))
    return HealthRecord(at=now, component=one.name, status=one.status.value, seconds=one.seconds, error=error)


def _keep(rows: Sequence[HealthRecord]) -> None:
    """Store the rows and those remembered; remember all of them where that cannot be done now."""
    with _guard:
        _remembered.extend(rows)
        waiting = list(_remembered)
        try:
            with failing(Store.REGISTRY):
                HealthRecord.objects.bulk_create(waiting)
            _remembered.clear()
        except (StoreUnreachable, StoreFailed) as exc:
            log.warning("what was found is remembered until the registry takes it: %s", exc)


def _forget_old(now: datetime) -> None:
    try:
        prune(now - timedelta(days=HEALTH_KEPT_DAYS.value()))
    except (StoreUnreachable, StoreFailed, InvalidParameter) as exc:
        log.warning("old health records stay: %s", exc)


def prune(before: datetime) -> int:
    """Remove rows that are older, so many at a time; how many went. Raises StoreUnreachable, StoreFailed."""
    with cursor(Store.REGISTRY) as found:
        found.execute(statement("monitoring", "prune_health"), {"before": before, "most": MOST_PRUNED})
        return int(found.rowcount)


def history(now: datetime) -> dict[str, Any]:
    """Each component's last look, availability by window, and error budget. Raises StoreUnreachable, StoreFailed."""
    last, seen = _last(now), {name: _seen(now, seconds) for name, seconds in WINDOWS.items()}
    return {name: {**row, **_told(name, {w: of.get(name) for w, of in seen.items()})} for name, row in last.items()}


def _last(now: datetime) -> dict[str, dict[str, Any]]:
    """Since when a component is as it is; of the rows of the longest window."""
    with cursor(Store.REGISTRY) as found:
        values: Values = {"now": now, "seconds": max(WINDOWS.values())}
        found.execute(statement("monitoring", "last_health"), values)
        names = ("status", "at", "since", "error")
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in found.fetchall()}


def _seen(now: datetime, seconds: float) -> dict[str, Seen]:
    values: Values = {"now": now, "seconds": seconds, "speaks": SPEAKS_SECONDS}
    with cursor(Store.REGISTRY) as found:
        found.execute(statement("monitoring", "availability"), values)
        return {str(name): Seen(float(up), float(down), float(since)) for name, up, down, since in found.fetchall()}


def _told(component: str, windows: Mapping[str, Seen | None]) -> dict[str, Any]:
    data = {name: seen.as_data() if seen else None for name, seen in windows.items()}
    objective, spent = objective_of(component), windows[BUDGET_WINDOW]
    if objective is None or spent is None:
        return {"windows": data, "budget": None}
    return {"windows": data, "budget": budget(objective, spent, WINDOWS[BUDGET_WINDOW]).as_data()}
