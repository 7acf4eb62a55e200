"""What is told, and where it goes. No I/O."""

from dataclasses import dataclass
from datetime import datetime

from dualwrite.models import AlertDelivery, AlertState, Measure

#: Where the pages are that say what to do.
RUNBOOK = "docs/runbook.md"


@dataclass(frozen=True)
class Way:
    """Where to, the keys that sign (all of them), and what a webhook is sent."""

    address: str
    keys: tuple[str, ...] = ()
    payload: str = "json"


@dataclass(frozen=True)
class Message:
    """That an alert fires, or that it is over. `id` is the same when it is sent again."""

    id: int
    alert: int
    rule: str
    subject: str
    severity: str
    event: str
    measure: str
    value: float | None
    why: str
    since: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    runbook: str

    @property
    def is_over(self) -> bool:
        """Whether it tells the end."""
        return self.event == AlertState.RESOLVED

    @property
    def title(self) -> str:
        """On one line: how urgent, what, of what."""
        state = "resolved" if self.is_over else self.severity
        return " ".join(f"[{state}] {self.rule}: {self.subject}".split())

    @property
    def text(self) -> str:
        """A few lines for people."""
        over = f"\nOver since {self.resolved_at:%Y-%m-%d %H:%M:%S %Z}" if self.is_over and self.resolved_at else ""
        return f"{self.why}\nBad since {self.since:%Y-%m-%d %H:%M:%S %Z}{over}\nWhat to do: {self.runbook}"


def message_of(row: AlertDelivery) -> Message:
    """What the row tells, as the alert is now."""
    alert, rule = row.alert, row.alert.rule
    return Message(
        id=row.pk,
        alert=alert.pk,
        rule=rule.name,
        subject=alert.subject,
        severity=alert.severity,
        event=row.event,
        measure=rule.measure,
        value=alert.value,
        why=alert.why or Measure(rule.measure).label,
        since=alert.since,
        fired_at=alert.fired_at,
        resolved_at=alert.resolved_at,
        runbook=f"{RUNBOOK}#{rule.runbook}",
    )
