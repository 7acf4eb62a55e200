"""One evaluation: measure, see what changes, store it, send what is due."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from dualwrite.exceptions import DualWriteError
from dualwrite.models import AlertEvaluation, AlertRule
from dualwrite.monitoring.alerts import keep
from dualwrite.monitoring.alerts.deliver import Delivered, deliver
from dualwrite.monitoring.alerts.sources import Source, measured
from dualwrite.monitoring.alerts.sources.applying import relayed
from dualwrite.monitoring.alerts.sources.every import every, with_unknowns
from dualwrite.monitoring.alerts.states import Sample, Transition, transitions
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.stages import Store
from dualwrite.stores import failing

log = logging.getLogger(__name__)
RELAYED_LIMIT_SECONDS = 5.0
Sources = Callable[[], Sequence[Source]]


@dataclass(frozen=True)
class Evaluated:
    """What was measured, what changed by it, and what was sent."""

    samples: Sequence[Sample]
    changed: Sequence[Transition]
    delivered: Delivered


def evaluate(now: datetime | None = None, sources: Sources = every) -> Evaluated:
    """Do it once, whoever else does at the same time. Raises StoreUnreachable, StoreFailed of the registry."""
    moment, began = now or timezone.now(), time.monotonic()
    try:
        rules = keep.rules()
        samples = with_unknowns(map(keep.pure, rules.values()), measured(sources()))
        changed = _change(rules, samples, moment)
        _remember(samples, moment, time.monotonic() - began)
        return Evaluated(samples, changed, deliver(moment))
    except DualWriteError as exc:
        log.critical("alerts cannot be evaluated, nobody is told of anything by them: %s", exc)
        raise


def _change(rules: Mapping[str, AlertRule], samples: Sequence[Sample], now: datetime) -> list[Transition]:
    found = transitions(map(keep.pure, rules.values()), samples, keep.opened(), now)
    changed = keep.keep(found, rules, now)
    for one in changed:
        if one.changes_state:
            log.info("alert %s, %s: %s; %s", one.after.rule, one.after.subject, one.after.state, one.reason)
    keep.forget(now)
    return changed


def _remember(samples: Sequence[Sample], now: datetime, seconds: float) -> None:
    totals = side_by_side([Task("alerts keys relayed", relayed, RELAYED_LIMIT_SECONDS)])[0].value
    values: dict[str, Any] = {
        "at": now,
        "seconds": round(seconds, 3),
        "samples": sum(one.value is not None for one in samples),
        "unknown": [_unknown(one) for one in samples if one.value is None],
        "relayed": dict(totals or {}),
    }
    with failing(Store.REGISTRY):
        AlertEvaluation.objects.update_or_create(pk=1, defaults=values)


def _unknown(sample: Sample) -> dict[str, str]:
    return {"measure": sample.measure.value, "subject": sample.subject, "why": sample.why}
