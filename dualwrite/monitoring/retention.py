"""How retention stands: each policy with its last run, the backups with their drills, what is held, what comes next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from dualwrite.exceptions import DualWriteError
from dualwrite.models import BackupState, DrillRun, LegalHold, RetentionBackup, RetentionPolicy, RetentionRun
from dualwrite.monitoring import schedule
from dualwrite.parameters import RETENTION_ENABLED
from dualwrite.retention import approval
from dualwrite.retention.policy import in_force
from dualwrite.stages import Store
from dualwrite.stores import reaching

#: What the schedule calls.
TASK = "dualwrite.retention.run"


@dataclass(frozen=True)
class PolicyStanding:
    """A policy: `days` in force, or in `wrong` why it cannot be carried out; its last run, executed or dry."""

    row: RetentionPolicy
    days: int | None
    wrong: str
    approval: approval.Standing
    executed: RetentionRun | None
    planned: RetentionRun | None

    def as_data(self, now: datetime, next_at: datetime | None) -> dict[str, Any]:
        """As JSON."""
        row = self.row
        return {
            "policy": row.name,
            "table": row.table,
            "action": row.action,
            "enabled": row.enabled,
            "days": self.days,
            "approved": self.approval.approved,
            "approval": self.approval.sentence,
            "wrong": self.wrong or None,
            "last_run": _run(self.executed, now),
            "last_dry_run": _run(self.planned, now),
            "next_run_at": next_at if row.enabled else None,
        }


@dataclass(frozen=True)
class BackupStanding:
    """The backups that are there; `untried_since`: since when the one that waits longest for a drill does."""

    count: int
    rows: int
    bytes: int
    broken: tuple[RetentionBackup, ...]
    untried_since: datetime | None
    drill: DrillRun | None

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        drill = self.drill
        last = drill and {"run": drill.pk, "status": drill.status, "at": drill.started_at, "sentence": drill.error}
        return {
            "count": self.count,
            "rows": self.rows,
            "bytes": self.bytes,
            "broken": [{"backup": row.pk, "location": row.location, "finding": row.finding} for row in self.broken],
            "untried_since": self.untried_since,
            "last_drill": last,
        }


@dataclass(frozen=True)
class Standing:
    """All of it; `enabled`: whether the schedule does anything."""

    enabled: bool
    next_run_at: datetime | None
    policies: list[PolicyStanding]
    backups: BackupStanding
    holds: list[LegalHold]

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        now = timezone.now()
        return {
            "enabled": self.enabled,
            "next_run_at": self.next_run_at,
            "policies": [one.as_data(now, self.next_run_at) for one in self.policies],
            "backups": self.backups.as_data(),
            "holds": [_hold(held) for held in self.holds],
        }


def standing() -> Standing:
    """How it stands now; raises StoreUnreachable, InvalidParameter."""
    return Standing(RETENTION_ENABLED.value(), next_run_at(), policies(), backups(), holds())


def policies() -> list[PolicyStanding]:
    """Every policy, by name; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        return [_policy(row) for row in RetentionPolicy.objects.all()]


def _policy(row: RetentionPolicy) -> PolicyStanding:
    days, wrong = None, ""
    try:
        days = in_force(row).days
    except DualWriteError as exc:
        wrong = str(exc)
    runs = RetentionRun.objects.filter(policy=row.name)
    executed, planned = runs.filter(dry_run=False).first(), runs.filter(dry_run=True).first()
    return PolicyStanding(row, days, wrong, approval.standing(row), executed, planned)


def backups() -> BackupStanding:
    """Those that have not expired; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        there = RetentionBackup.objects.exclude(state=BackupState.EXPIRED)
        found = there.order_by().aggregate(
            count=Count("pk"),
            rows=Coalesce(Sum("rows"), 0),
            size=Coalesce(Sum("bytes"), 0),
            untried_since=Min(Coalesce(F("drilled_at"), F("made_at"))),
        )
        broken = tuple(there.filter(state=BackupState.BROKEN))
        last = DrillRun.objects.first()
    own = (int(found["count"]), int(found["rows"]), int(found["size"]))
    return BackupStanding(*own, broken, found["untried_since"], last)


def holds() -> list[LegalHold]:
    """Those in force; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        now = timezone.now()
        return [held for held in LegalHold.objects.filter(released_at=None) if not held.until or held.until > now]


def next_run_at() -> datetime | None:
    """When the schedule runs them next; None where nothing is scheduled. Raises StoreUnreachable."""
    return schedule.next_run_at(TASK)


def _run(run: RetentionRun | None, now: datetime) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run.pk,
        "status": run.status,
        "began_at": run.started_at,
        "age_seconds": round((now - run.started_at).total_seconds()),
        "rows": run.planned_rows,
        "removed": run.removed,
        "sentence": run.error,
    }


def _hold(held: LegalHold) -> dict[str, Any]:
    names = ("table", "name", "value", "reason", "by", "since", "until")
    return {"hold": held.pk, **{name: getattr(held, name) for name in names}}
