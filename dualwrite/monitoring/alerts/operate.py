"""What people do with an alert: acknowledge it, or silence it for a while. Each needs a reason and is kept."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from dualwrite.exceptions import ConcurrentChange, Refused, UnknownName, UsageError
from dualwrite.models import Alert, AlertChange, AlertDelivery, AlertRule, AlertState, DeliveryState
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.switch import Actor

#: Longer is forgotten: whoever wants never to be told switches the rule off.
LONGEST = timedelta(days=30)


def acknowledge(number: int, actor: Actor) -> Alert:
    """Say that somebody sees to it; it stays so until it is over. Raises as `silence`."""
    return _change(number, AlertState.ACKNOWLEDGED, actor, None)


def silence(number: int, lasts: timedelta, actor: Actor) -> Alert:
    """Tell nobody for so long; it fires again then, unless it is over.

    Raises UsageError without a reason or for a time that is none, UnknownName, Refused for one that does not fire,
    ConcurrentChange, StoreUnreachable.
    """
    if not timedelta(0) < lasts <= LONGEST:
        raise UsageError(f"a silence lasts longer than nothing and {LONGEST.days} days at most")
    return _change(number, AlertState.SILENCED, actor, timezone.now() + lasts)


def end_cool_downs() -> int:
    """Let what is fine again be over at the next look, and send what is due now; how many of both.

    Raises StoreUnreachable, StoreFailed.
    """
    now = timezone.now()
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        cooling = Alert.objects.exclude(state=AlertState.RESOLVED).filter(fine_since__isnull=False)
        ended = sum(
            cooling.filter(rule=rule).update(fine_since=now - timedelta(seconds=rule.cool_down_seconds))
            for rule in AlertRule.objects.filter(alerts__in=cooling).distinct()
        )
        waiting = AlertDelivery.objects.filter(state=DeliveryState.DUE, next_at__gt=now)
        return ended + waiting.update(next_at=now)


def _change(number: int, after: AlertState, actor: Actor, until: datetime | None) -> Alert:
    if not actor.reason.strip():
        raise UsageError("acknowledging or silencing an alert needs a reason")
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        alert = _firing(number)
        mine = Alert.objects.filter(pk=alert.pk, state=alert.state)
        if not mine.update(state=after, silenced_until=until):
            raise ConcurrentChange(f"alert {number} has just changed; look again")
        AlertChange.objects.create(alert=alert, before=alert.state, after=after, by=actor.name, reason=actor.reason)
        alert.refresh_from_db()
    return alert


def _firing(number: int) -> Alert:
    alert = Alert.objects.select_related("rule").filter(pk=number).first()
    if alert is None:
        opened = Alert.objects.exclude(state=AlertState.RESOLVED).values_list("pk", flat=True)
        raise UnknownName("alert", str(number), map(str, opened))
    if not AlertState(alert.state).fires:
        raise Refused(f"alert {number} ({alert}) is {alert.state}, so there is nothing to be quietened")
    return alert
