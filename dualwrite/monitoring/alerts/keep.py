"""Stores transitions: an alert changes only from the state that was read, with its history and its messages."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from dualwrite.models import (
    Alert,
    AlertChange,
    AlertChannel,
    AlertDelivery,
    AlertRule,
    AlertState,
    Comparison,
    DeliveryState,
    Measure,
    Severity,
)
from dualwrite.monitoring.alerts.states import Open, Rule, Transition
from dualwrite.stages import Store
from dualwrite.stores import failing

EVALUATION = "evaluation"
#: What was bad for too short a time to be told of is forgotten after so long.
FORGOTTEN_AFTER = timedelta(days=7)


def rules() -> dict[str, AlertRule]:
    """Those that are switched on, by name; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        return {row.name: row for row in AlertRule.objects.filter(enabled=True)}


def pure(row: AlertRule) -> Rule:
    """The rule without its row."""
    return Rule(
        row.name,
        Measure(row.measure),
        comparison=Comparison(row.comparison),
        threshold=row.threshold,
        for_seconds=row.for_seconds,
        cool_down_seconds=row.cool_down_seconds,
    )


def opened() -> list[Open]:
    """Alerts that are not over; raises as `rules`."""
    with failing(Store.REGISTRY):
        found = Alert.objects.exclude(state=AlertState.RESOLVED).select_related("rule")
        return [as_open(row) for row in found]


def as_open(row: Alert) -> Open:
    """The alert without its row."""
    return Open(row.rule.name, row.subject, AlertState(row.state), row.since, row.fine_since, row.silenced_until)


def keep(found: Iterable[Transition], by_name: Mapping[str, AlertRule], now: datetime) -> list[Transition]:
    """Store each for itself; returns those that this process stored. Raises as `rules`."""
    with failing(Store.REGISTRY):
        return [one for one in found if _kept(one, by_name, now)]


def _kept(one: Transition, by_name: Mapping[str, AlertRule], now: datetime) -> bool:
    try:
        with transaction.atomic(using=Store.REGISTRY.alias):
            number = _changed(one.before, one, now) if one.before else _created(one, by_name[one.after.rule], now)
            if number is not None and one.changes_state:
                _told(Alert.objects.get(pk=number), one, now)
    except IntegrityError:
        return False  # another evaluation has opened it, or the rule was removed meanwhile
    return number is not None


def _created(one: Transition, rule: AlertRule, now: datetime) -> int:
    values = {"severity": rule.severity, **_values(one, now)}
    return int(Alert.objects.create(rule=rule, subject=one.after.subject, **values).pk)


def _changed(was: Open, one: Transition, now: datetime) -> int | None:
    mine = Alert.objects.filter(
        rule__name=was.rule,
        subject=was.subject,
        state=was.state,
        since=was.since,
        fine_since=was.fine_since,
        silenced_until=was.silenced_until,
    )
    number = mine.values_list("pk", flat=True).first()
    return number if number is not None and mine.filter(pk=number).update(**_values(one, now)) else None


def _values(one: Transition, now: datetime) -> dict[str, object]:
    after = one.after
    values: dict[str, object] = {
        "state": after.state,
        "since": after.since,
        "fine_since": after.fine_since,
        "silenced_until": after.silenced_until,
    }
    if one.value is not None or one.why:
        values |= {"value": one.value, "why": one.why}
    if after.state is AlertState.FIRING and (one.before is None or one.before.state is AlertState.PENDING):
        values["fired_at"] = now
    if after.state is AlertState.RESOLVED:
        values["resolved_at"] = now
    return values


def _told(alert: Alert, one: Transition, now: datetime) -> None:
    """The row of history and, where people are to know, the messages."""
    before = one.before.state if one.before else ""
    AlertChange.objects.create(alert=alert, at=now, before=before, after=alert.state, by=EVALUATION, reason=one.reason)
    if alert.state == AlertState.FIRING or (alert.state == AlertState.RESOLVED and alert.fired_at is not None):
        _messages(alert, now)


def _messages(alert: Alert, now: datetime) -> None:
    """One a channel. What is still to be sent of the same alert is overtaken."""
    waiting = AlertDelivery.objects.filter(alert=alert, state=DeliveryState.DUE)
    waiting.update(state=DeliveryState.OVERTAKEN)
    AlertDelivery.objects.bulk_create(
        AlertDelivery(alert=alert, channel=channel, event=alert.state, made_at=now, next_at=now)
        for channel in _channels(alert)
    )


def _channels(alert: Alert) -> list[AlertChannel]:
    """All that take it; that a channel fails is not told over that one."""
    found = AlertChannel.objects.filter(enabled=True)
    if alert.rule.measure == Measure.CHANNEL_FAILING:
        found = found.exclude(name=alert.subject)
    return [one for one in found if Severity(alert.severity).reaches(one.least_severity)]


def forget(now: datetime) -> None:
    """Remove what never fired and is long over; raises as `rules`."""
    old = Q(state=AlertState.RESOLVED, fired_at=None, resolved_at__lt=now - FORGOTTEN_AFTER)
    with failing(Store.REGISTRY):
        Alert.objects.filter(old).delete()
