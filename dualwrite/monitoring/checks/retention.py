"""Whether old rows go as approved, and everything that went could come back."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dualwrite.models import RetentionRun, RetentionStatus
from dualwrite.monitoring import retention
from dualwrite.monitoring.exceptions import Down, OutOfService
from dualwrite.monitoring.health import Check
from dualwrite.monitoring.retention import BackupStanding, PolicyStanding
from dualwrite.runs import is_dead


@dataclass(frozen=True, kw_only=True)
class RetentionCheck(Check):
    """Every approved policy was carried out within `late`, none broke or is held by a brake; no backup is broken or has
    waited for longer than `untried` to be tried. What nobody approved is a detail, not a fault."""

    name: str = "retention"
    mend: str = 'docs/retention.md, "When its health check is not UP", says for each what to do'
    #: Two nights, and an hour for what takes long.
    late: timedelta = timedelta(hours=49)
    #: A drill a week, and a day.
    untried: timedelta = timedelta(days=8)

    def run(self) -> dict[str, Any]:
        """Return how policies and backups stand; raise Down for what broke or is late, OutOfService for a brake."""
        found = retention.standing()
        details = found.as_data()
        policies = [one for one in found.policies if one.row.enabled and found.enabled]
        broken = [why for one in policies if (why := self.trouble(one))]
        broken += self.of_backups(found.backups)
        if broken:
            raise Down("; ".join(broken), details)
        braked = [why for one in policies if (why := _braked(one))]
        if braked:
            raise OutOfService("; ".join(braked), details)
        return details

    def trouble(self, one: PolicyStanding) -> str:
        """What is wrong with an enabled policy, in a sentence, or nothing."""
        if one.wrong:
            return one.wrong
        if not one.approval.approved:
            return ""
        run = _since_approved(one)
        if run is not None and (why := _broke(run)):
            return f"{one.row.name}: run {run.pk} {why}"
        return self._late(one, run)

    def _late(self, one: PolicyStanding, run: RetentionRun | None) -> str:
        since = run.started_at if run else one.row.approved_at
        under_way = run is not None and run.status == RetentionStatus.RUNNING
        if under_way or since is None or timezone.now() - since <= self.late:
            return ""
        last = "the last run began" if run else "it was never carried out since"
        return f"{one.row.name} is approved, and {last} {since:%Y-%m-%d %H:%M} UTC"

    def of_backups(self, found: BackupStanding) -> list[str]:
        """What is wrong with the backups, each in a sentence."""
        said = [f"backup {row.pk} cannot be restored: {row.finding}" for row in found.broken]
        if found.untried_since and timezone.now() - found.untried_since > self.untried:
            said.append(
                f"a backup was not tried since {found.untried_since:%Y-%m-%d}; manage.py verify_backups does it"
            )
        return said


def _since_approved(one: PolicyStanding) -> RetentionRun | None:
    """The last run by what is approved now: one of before was another policy's, so to speak."""
    run, approved_at = one.executed, one.row.approved_at
    return run if run and (approved_at is None or run.started_at >= approved_at) else None


def _broke(run: RetentionRun) -> str:
    if is_dead(run):
        return "is no longer worked on, as its process died; the next run goes on"
    return f"ended as an error: {run.error}" if run.status == RetentionStatus.ERROR else ""


def _braked(one: PolicyStanding) -> str:
    run = _since_approved(one)
    if run is None or run.status != RetentionStatus.REFUSED or not one.approval.approved:
        return ""
    return f"{one.row.name}: a brake held run {run.pk}: {run.error}"
