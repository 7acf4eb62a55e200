"""Sends what is due, each message with a limit; what was not taken is tried again later and later."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import F

from dualwrite.models import AlertChannel, AlertDelivery, DeliveryState
from dualwrite.monitoring.alerts.channels import LIMIT_SECONDS, send
from dualwrite.monitoring.alerts.channels.message import message_of
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import failing

log = logging.getLogger(__name__)
#: Messages that are sent side by side, and how long one evaluation goes on sending.
AT_ONCE, BUDGET_SECONDS = 10, 30.0
#: Nobody else sends a message for so long, once one has begun to.
CLAIM = timedelta(seconds=60)
#: Until it is tried again: at first, doubled each time, and at most. After so long it is given up.
RETRY, LONGEST, GIVEN_UP_AFTER = timedelta(seconds=30), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Delivered:
    """Messages that were taken, and those that were not."""

    sent: int = 0
    failed: int = 0


def deliver(now: datetime) -> Delivered:
    """Send what is due and not being sent by somebody else; raises StoreUnreachable, StoreFailed."""
    until, sent, failed = time.monotonic() + BUDGET_SECONDS, 0, 0
    with failing(Store.REGISTRY):
        _give_up(now)
        for batch in _batches(now):
            outcomes = side_by_side([_task(one) for one in batch])
            good = [_settled(one, out, now) for one, out in zip(batch, outcomes, strict=True)]
            sent, failed = sent + sum(good), failed + len(good) - sum(good)
            if time.monotonic() > until:
                break
    return Delivered(sent, failed)


def _give_up(now: datetime) -> None:
    old = AlertDelivery.objects.filter(state=DeliveryState.DUE, made_at__lt=now - GIVEN_UP_AFTER)
    count = old.update(state=DeliveryState.GIVEN_UP)
    if count:
        log.error("%d messages about alerts could not be delivered for a day and are given up", count)


def _batches(now: datetime) -> Iterator[list[AlertDelivery]]:
    """Those never tried first: what hangs again and again holds nothing new up."""
    due = AlertDelivery.objects.filter(state=DeliveryState.DUE, next_at__lte=now, channel__enabled=True)
    while found := list(due.select_related("channel", "alert__rule").order_by("attempts", "id")[:AT_ONCE]):
        if mine := [one for one in found if _claimed(one, now)]:
            yield mine


def _claimed(one: AlertDelivery, now: datetime) -> bool:
    mine = AlertDelivery.objects.filter(pk=one.pk, state=DeliveryState.DUE, next_at=one.next_at)
    return bool(mine.update(next_at=now + CLAIM, attempts=F("attempts") + 1))


def _task(one: AlertDelivery) -> Task[bool]:
    way, message = one.channel, message_of(one)
    return Task(f"alert message {one.pk}", partial(send, way, message), LIMIT_SECONDS)


def _settled(one: AlertDelivery, outcome: Outcome[bool], now: datetime) -> bool:
    mine = AlertDelivery.objects.filter(pk=one.pk, state=DeliveryState.DUE)
    if outcome.value is not None:
        mine.update(state=DeliveryState.SENT, sent_at=now, error="")
        AlertChannel.objects.filter(pk=one.channel_id).update(failures=0, error="", delivered_at=now)
        return True
    why = why_not(outcome, LIMIT_SECONDS)
    log.warning("alert channel %s: a message could not be delivered: %s", one.channel.name, why)
    mine.update(next_at=now + wait(one.attempts), error=why)
    AlertChannel.objects.filter(pk=one.channel_id).update(failures=F("failures") + 1, error=why)
    return False


def wait(attempts: int) -> timedelta:
    """How long until the next attempt, after so many failed ones before this one. Pure."""
    return min(RETRY * (1 << min(attempts, 20)), LONGEST)
