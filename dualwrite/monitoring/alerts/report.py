"""What people are shown: what fires, what cannot be measured, and whether anybody evaluates at all."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dualwrite.exceptions import StoreUnreachable
from dualwrite.models import Alert, AlertChannel, AlertEvaluation, AlertRule, AlertState, Measure
from dualwrite.monitoring.alerts.channels.message import RUNBOOK
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import failing

#: Three scheduled evaluations were missed by then.
STALE_AFTER = timedelta(minutes=15)
LIMIT_SECONDS = 5.0
#: Those somebody is to look at; one that is silenced is known.
LOUD = (AlertState.FIRING, AlertState.ACKNOWLEDGED)


@dataclass(frozen=True)
class Report:
    """Open alerts, rules that cannot be measured, channels that do not work; `stale`: nobody evaluated lately."""

    evaluated_at: Any
    stale: bool
    rules: int
    alerts: list[dict[str, Any]]
    unknown: list[dict[str, str]]
    failing_channels: list[dict[str, Any]]

    @property
    def fires(self) -> int:
        """How many are loud."""
        return sum(one["state"] in LOUD for one in self.alerts)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {"firing": self.fires, **vars(self)}


def report() -> Report:
    """As it is kept; nothing is measured for it. Raises StoreUnreachable, StoreFailed, within seconds."""
    (outcome,) = side_by_side([Task("alerts report", _read, LIMIT_SECONDS)])
    if outcome.value is not None:
        return outcome.value
    raise outcome.error or StoreUnreachable(f"the registry: {why_not(outcome, LIMIT_SECONDS)}")


def firing() -> dict[tuple[str, str], int]:
    """How many fire, by name and severity, and 0 for the other rules. Raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        found = dict.fromkeys(AlertRule.objects.filter(enabled=True).values_list("name", "severity"), 0)
        for name, severity in Alert.objects.filter(state__in=LOUD).values_list("rule__name", "severity"):
            found[name, severity] = found.get((name, severity), 0) + 1
    return found


def _read() -> Report:
    with failing(Store.REGISTRY):
        last = AlertEvaluation.objects.filter(pk=1).first()
        opened = Alert.objects.exclude(state=AlertState.RESOLVED).select_related("rule")
        failing_ones = AlertChannel.objects.filter(enabled=True, failures__gt=0)
        return Report(
            evaluated_at=last.at if last else None,
            stale=last is None or timezone.now() - last.at > STALE_AFTER,
            rules=AlertRule.objects.filter(enabled=True).count(),
            alerts=[as_data(alert) for alert in opened],
            unknown=list(last.unknown) if last else [],
            failing_channels=[{"name": c.name, "failures": c.failures, "error": c.error} for c in failing_ones],
        )


def as_data(alert: Alert) -> dict[str, Any]:
    """One alert as JSON."""
    measure = Measure(alert.rule.measure)
    return {
        "id": alert.pk,
        "name": alert.rule.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "state": alert.state,
        "measure": measure.value,
        "value": alert.value,
        "unit": measure.unit.value,
        "why": alert.why,
        "since": alert.since,
        "fired_at": alert.fired_at,
        "fine_since": alert.fine_since,
        "silenced_until": alert.silenced_until,
        "runbook": f"{RUNBOOK}#{alert.rule.runbook}",
    }
