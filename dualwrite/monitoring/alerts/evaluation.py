"""One evaluation: measure, see what changes, store it, send what is due."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from dualwrite.exceptions import StoreUnreachable
from dualwrite.models import AlertEvaluation, AlertRule
from dualwrite.monitoring.alerts import keep
from dualwrite.monitoring.alerts.deliver import Delivered, deliver
from dualwrite.monitoring.alerts.sources import Source, measured
from dualwrite.monitoring.alerts.sources.applying import relayed
from dualwrite.monitoring.alerts.sources.every import every, with_unknowns
from dualwrite.monitoring.alerts.states import Sample, Transition, transitions
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import failing

log = logging.getLogger(__name__)
#: Of everything: measuring, storing and sending have shorter ones of their own.
LIMIT_SECONDS = 120.0
RELAYED_LIMIT_SECONDS = 5.0
#: What could not be applied is counted over no shorter time.
WINDOW = timedelta(seconds=60)
Sources = Callable[[], Sequence[Source]]


@dataclass(frozen=True)
class Evaluated:
    """What was measured, what changed by it, and what was sent."""

    samples: Sequence[Sample]
    changed: Sequence[Transition]
    delivered: Delivered


def evaluate(now: datetime | None = None, sources: Sources = every) -> Evaluated:
    """Do it once, whoever else does at the same time. Raises StoreUnreachable, StoreFailed of the registry.

    With connections of its own and a limit, so that a registry that has stopped answering holds no worker up.
    """
    moment = now or timezone.now()
    task = Task("alerts evaluation", lambda: _evaluated(moment, sources), LIMIT_SECONDS)
    (outcome,) = side_by_side([task])
    if outcome.value is not None:
        return outcome.value
    why = why_not(outcome, LIMIT_SECONDS)
    log.critical("alerts cannot be evaluated, nobody is told of anything by them: %s", why)
    raise outcome.error or StoreUnreachable(f"the evaluation of alerts: {why}")


def _evaluated(now: datetime, sources: Sources) -> Evaluated:
    began, rules = time.monotonic(), keep.rules()
    samples = with_unknowns(map(keep.pure, rules.values()), measured(sources()))
    changed = _change(rules, samples, now)
    _remember(samples, now, time.monotonic() - began)
    return Evaluated(samples, changed, deliver(now))


def _change(rules: Mapping[str, AlertRule], samples: Sequence[Sample], now: datetime) -> list[Transition]:
    found = transitions(map(keep.pure, rules.values()), samples, keep.opened(), now)
    changed = keep.keep(found, rules, now)
    for one in changed:
        if one.changes_state:
            log.info("alert %s, %s: %s; %s", one.after.rule, one.after.subject, one.after.state, one.reason)
    keep.forget(now)
    return changed


def _remember(samples: Sequence[Sample], now: datetime, seconds: float) -> None:
    values: dict[str, Any] = {
        "at": now,
        "seconds": round(seconds, 3),
        "samples": sum(one.value is not None for one in samples),
        "unknown": [_unknown(one) for one in samples if one.value is None],
    }
    with failing(Store.REGISTRY):
        last = AlertEvaluation.objects.filter(pk=1).first()
        if last is None or now - last.relayed_at >= WINDOW:
            values |= {"relayed": _relayed(), "relayed_at": now}
        AlertEvaluation.objects.update_or_create(pk=1, defaults=values)


def _relayed() -> dict[str, int]:
    """As far as it can be told: a stream that is left out is unknown the next time."""
    (outcome,) = side_by_side([Task("alerts keys relayed", relayed, RELAYED_LIMIT_SECONDS)])
    return dict(outcome.value or {})


def _unknown(sample: Sample) -> dict[str, str]:
    return {"measure": sample.measure.value, "subject": sample.subject, "why": sample.why}
