"""All sources, and what they cannot tell."""

from collections.abc import Iterable, Sequence

from dualwrite.models import Measure
from dualwrite.monitoring.alerts.sources import (
    Source,
    applying,
    canaries,
    components,
    configuration,
    messages,
    retention,
    standing,
    stores,
    tasks,
    validations,
    yes,
)
from dualwrite.monitoring.alerts.states import Rule, Sample
from dualwrite.monitoring.health import Report
from dualwrite.stream import all_streams


def every(report: Report | None = None) -> list[Source]:
    """The sources there are now: a canary for each stream, and the others. `report`: what the checks have just said."""
    return [
        components.source(report),
        standing.STANDING,
        standing.TRIGGERS,
        validations.SOURCE,
        retention.RETENTION,
        retention.DRILLS,
        stores.STORES,
        stores.CLOCKS,
        configuration.SOURCE,
        applying.SOURCE,
        messages.SOURCE,
        tasks.SOURCE,
        *map(canaries.source, all_streams()),
    ]


def with_unknowns(rules: Iterable[Rule], samples: Sequence[Sample]) -> list[Sample]:
    """The samples, and for each rule whether what it is about could be measured."""
    reasons: dict[Measure, list[str]] = {}
    for one in samples:
        if one.value is None:
            reasons.setdefault(one.measure, []).append(f"{one.subject}: {one.why}")
    found = [rule for rule in rules if rule.measure is not Measure.UNKNOWN]
    return [*samples, *(yes(Measure.UNKNOWN, r.name, "; ".join(reasons.get(r.measure, []))) for r in found)]
