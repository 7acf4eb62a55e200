"""A policy as it holds for one run: read once, checked, frozen, hashed. Pure, but `in_force` reads parameters."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from dualwrite.models import RetentionPolicy
from dualwrite.parameters import BACKUP_BEFORE_DELETE, RETENTION_MAX_PERCENT, RETENTION_MAX_ROWS
from dualwrite.retention import conditions
from dualwrite.retention.conditions import Condition
from dualwrite.retention.exceptions import InvalidPolicy
from dualwrite.retention.subject import Action, Subject, subject_named

#: What an approval is about, apart from the days: a longer period needs none.
APPROVED = ("table", "action", "date", "conditions", "backup", "max_rows", "max_percent")


@dataclass(frozen=True)
class Window:
    """Hours of the day, UTC, in which scheduled runs work. It may go past midnight."""

    begins: time
    ends: time

    def __post_init__(self) -> None:
        if self.begins == self.ends:
            raise InvalidPolicy("the hours end when they begin, so no scheduled run would ever work", "window_ends")

    def holds(self, moment: datetime) -> bool:
        """Whether the moment (UTC) is inside."""
        now = moment.time()
        if self.begins <= self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends


@dataclass(frozen=True)
class Policy:
    """What a run does, frozen: `days` is the longest of what row, parameter and minimum say."""

    name: str
    subject: Subject
    action: Action
    date: str
    days: int
    conditions: tuple[Condition, ...]
    batch_size: int
    backup: bool
    max_rows: int
    max_percent: float
    window: Window | None

    def cutoff(self, now: datetime) -> datetime:
        """Rows of before may go; raises InvalidPolicy for a period that reaches before all time."""
        try:
            return now - timedelta(days=self.days)
        except OverflowError as exc:
            raise InvalidPolicy(f"{self.name}: {self.days} days ago there was no calendar", "days") from exc

    @property
    def hash(self) -> str:
        """What is approved, without the days, as a hexadecimal digest."""
        data = self.as_data()
        chosen = {name: data[name] for name in APPROVED}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    def as_data(self) -> dict[str, Any]:
        """As JSON: what a run keeps, and what it is continued by."""
        return {
            "table": self.subject.name,
            "action": self.action.value,
            "date": self.date,
            "days": self.days,
            "conditions": [condition.as_data() for condition in self.conditions],
            "batch_size": self.batch_size,
            "backup": self.backup,
            "max_rows": self.max_rows,
            "max_percent": self.max_percent,
        }


def in_force(row: RetentionPolicy) -> Policy:
    """The policy of a row as it holds now; raises InvalidPolicy, UnknownName, InvalidParameter."""
    subject = subject_named(row.table)
    return _checked(
        Policy(
            name=row.name,
            subject=subject,
            action=Action(row.action),
            date=row.date,
            days=max(row.days or 0, subject.period.value(), subject.minimum_days),
            conditions=conditions.parse(row.conditions, subject.filters),
            batch_size=row.batch_size,
            # The more careful of both; a delete has one in any case.
            backup=row.backup or BACKUP_BEFORE_DELETE.value() or row.action == Action.DELETE,
            max_rows=RETENTION_MAX_ROWS.value() if row.max_rows is None else row.max_rows,
            max_percent=RETENTION_MAX_PERCENT.value() if row.max_percent is None else row.max_percent,
            window=Window(row.window_begins, row.window_ends) if row.window_begins and row.window_ends else None,
        )
    )


def frozen(name: str, data: Mapping[str, Any]) -> Policy:
    """The policy that a run was planned by; raises as `in_force`."""
    subject = subject_named(data["table"])
    own = {name: data[name] for name in ("date", "days", "batch_size", "backup", "max_rows", "max_percent")}
    filters = conditions.parse(data["conditions"], subject.filters)
    return _checked(
        Policy(name=name, subject=subject, action=Action(data["action"]), conditions=filters, window=None, **own)
    )


def of_backup(name: str, data: Mapping[str, Any]) -> Policy:
    """The policy by which the rows of a backup were chosen, as far as it matters still.

    They come back whatever is declared now as filters and actions. Raises UnknownName, InvalidPolicy for the date.
    """
    own = {name: data[name] for name in ("date", "days", "batch_size", "backup", "max_rows", "max_percent")}
    action = Action(data["action"])
    policy = Policy(name=name, subject=subject_named(data["table"]), action=action, conditions=(), window=None, **own)
    return _dated(policy)


def _checked(policy: Policy) -> Policy:
    subject = policy.subject
    if policy.action not in subject.actions:
        valid = ", ".join(action.value for action in subject.actions)
        raise InvalidPolicy(f"{policy.name}: {policy.action.value} of {subject.name}; valid: {valid}", "action")
    return _dated(policy)


def _dated(policy: Policy) -> Policy:
    subject = policy.subject
    if policy.date not in subject.dates:
        valid = ", ".join(subject.dates)
        raise InvalidPolicy(f"{policy.name}: date {policy.date!r} of {subject.name}; valid: {valid}", "date")
    return policy
