"""What the kept retention runs and drills tell."""

from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from dualwrite.models import (
    BackupState,
    DrillRun,
    Measure,
    RetentionBackup,
    RetentionPolicy,
    RetentionRun,
    RetentionStatus,
)
from dualwrite.monitoring.alerts.sources import Source, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.parameters import RETENTION_ENABLED
from dualwrite.stages import Store
from dualwrite.stores import failing

BAD = (RetentionStatus.ERROR, RetentionStatus.REFUSED)
UNDECIDED = (RetentionStatus.RUNNING, RetentionStatus.SKIPPED)
BACKUPS, PASSED = "backups", "passed"


def retention() -> list[Sample]:
    """Every policy that is in force: one that nobody approved does nothing, which is as it should be."""
    now = timezone.now()
    with failing(Store.REGISTRY):
        policies = RetentionPolicy.objects.filter(enabled=True).exclude(approved_at=None)
        return [sample for policy in policies for sample in _policy(policy, now)]


def _policy(policy: RetentionPolicy, now: datetime) -> list[Sample]:
    runs = RetentionRun.objects.filter(policy=policy.name, dry_run=False)
    last = runs.exclude(status__in=UNDECIDED).first()
    failed = last is not None and last.status in BAD
    why = f"run {last.pk} ended {last.status}: {last.error or last.stopped_because}" if last and failed else ""
    found = [yes(Measure.RETENTION_FAILED, policy.name, why)]
    return [*found, _age(policy, runs, now)] if RETENTION_ENABLED.value() else found


def _age(policy: RetentionPolicy, runs: QuerySet[RetentionRun], now: datetime) -> Sample:
    ended = Q(status=RetentionStatus.COMPLETE, finished_at__isnull=False)
    last = runs.filter(ended).values_list("finished_at", flat=True).first() or policy.approved_at
    seconds = max(0.0, (now - (last or now)).total_seconds())
    return Sample(Measure.RETENTION_AGE, policy.name, round(seconds, 1), f"no run has ended well for {seconds:.0f} s")


def drills() -> list[Sample]:
    """The last drill and what is known of each backup; nothing where there is neither."""
    with failing(Store.REGISTRY):
        last = DrillRun.objects.exclude(status__in=(DrillRun.RUNNING, DrillRun.CANCELLED)).first()
        broken = RetentionBackup.objects.filter(state=BackupState.BROKEN).order_by("-id").first()
    if broken is not None:
        return [yes(Measure.DRILL_FAILED, BACKUPS, f"backup {broken.pk} cannot be restored: {broken.finding}")]
    if last is None:
        return []
    why = "" if last.status == PASSED else f"drill {last.pk} ended {last.status}: {last.error}"
    return [yes(Measure.DRILL_FAILED, BACKUPS, why)]


RETENTION = Source("retention", (Measure.RETENTION_FAILED, Measure.RETENTION_AGE), retention)
DRILLS = Source("drills", (Measure.DRILL_FAILED,), drills)
