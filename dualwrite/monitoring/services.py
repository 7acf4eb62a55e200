"""The services as an operator thinks of them: the state of each, how its last run came out, and when the next one is.

The state is that of the component that is watched; the runs are those of the schedule, or, of the config service, its
being asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dualwrite.models import ConfigSource, HealthRecord, RetentionRun, Run, ValidationRun
from dualwrite.monitoring.schedule import Periodic, periodic
from dualwrite.monitoring.side_by_side import Task
from dualwrite.monitoring.status import Status, worst
from dualwrite.stages import Store
from dualwrite.stores import failing

LIMIT_SECONDS = 3.0
#: Service → its component among the checks, and its periodic task.
SERVICES: Mapping[str, tuple[str, str]] = {
    "dualWrite": ("dualWrite", "dualwrite.relay.sweep"),
    "validation": ("validation", "dualwrite.validation.run"),
    "retention": ("retention", "dualwrite.retention.run"),
    "monitoring": ("beat", "dualwrite.monitoring.check"),
    "configService": ("configService", ""),
}


@dataclass(frozen=True)
class Ran:
    """A last run: when, how it came out, and what it was about."""

    at: datetime | None
    verdict: str
    sentence: str = ""

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {"at": self.at, "verdict": self.verdict, "sentence": self.sentence}


@dataclass(frozen=True)
class Runs:
    """What is known of the runs: the last one by service, the rows of the schedule, when the config service is due."""

    last: Mapping[str, Ran]
    scheduled: tuple[Periodic, ...]
    asked_at: datetime | None

    def of(self, service: str, status: Status | None) -> dict[str, Any]:
        """A service as JSON; raises KeyError for one that is none."""
        _, task = SERVICES[service]
        rows = [one for one in self.scheduled if one.task == task]
        dues = [one.next_at for one in rows if one.next_at]
        last = self.last.get(service)
        if last is None and rows:
            last = Ran(max((one.ran_at for one in rows if one.ran_at), default=None), "")
        return {
            "status": status.value if status else Status.UNKNOWN.value,
            "last_run": last.as_data() if last and last.at else None,
            "next_run_at": min(dues) if dues else (self.asked_at if not task else None),
            "every": ", ".join(one.every for one in rows if one.enabled),
        }


#: Where nothing can be read.
NOTHING = Runs({}, (), None)


def task() -> Task[Runs]:
    """As a question for `side_by_side`."""
    return Task("services", read, LIMIT_SECONDS)


def read() -> Runs:
    """Of all services; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        source = ConfigSource.objects.filter(pk=1).first()
        found = {
            "validation": _validation(),
            "retention": _retention(),
            "monitoring": _looked(),
            "configService": _asked(source),
        }
    last = {name: ran for name, ran in found.items() if ran is not None}
    return Runs(last, tuple(periodic()), source.ask_at if source else None)


def _validation() -> Ran | None:
    """The last one of each stream, the newest first; the verdict is of all of them."""
    ended = ValidationRun.objects.exclude(status=Run.RUNNING)
    rows = list(ended.order_by("stream", "-pk").distinct("stream"))
    said = ", ".join(f"{row.stream} {row.status} (run {row.pk})" for row in rows)
    return Ran(max(row.started_at for row in rows), _together([row.status for row in rows]), said) if rows else None


def _retention() -> Ran | None:
    ended = RetentionRun.objects.filter(dry_run=False).exclude(status=Run.RUNNING)
    rows = list(ended.order_by("policy", "-pk").distinct("policy"))
    said = ", ".join(f"{row.policy} {row.status} (run {row.pk})" for row in rows)
    return Ran(max(row.started_at for row in rows), _together([row.status for row in rows]), said) if rows else None


def _looked() -> Ran | None:
    at = HealthRecord.objects.order_by("-at").values_list("at", flat=True).first()
    if at is None:
        return None
    seen = HealthRecord.objects.filter(at=at, subject="").values_list("component", "status")
    bad = [f"{component} {status}" for component, status in seen if status != Status.UP]
    return Ran(at, worst(Status(status) for _, status in seen).value, ", ".join(bad))


def _asked(source: ConfigSource | None) -> Ran | None:
    if source is None or source.asked_at is None:
        return None
    return Ran(source.asked_at, "failed" if source.failures else "answered", source.error)


def _together(statuses: list[str]) -> str:
    """One word where all came out alike, else each."""
    return ", ".join(sorted(set(statuses)))
