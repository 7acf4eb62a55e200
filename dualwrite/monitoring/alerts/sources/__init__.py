"""What is measured, and by whom: each source answers for its measures, or says why it cannot.

A source that hangs or breaks is one sample a measure that speaks for all subjects: unknown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dualwrite.models import Measure
from dualwrite.monitoring.alerts.states import ALL, Sample
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.streams import why_not


@dataclass(frozen=True)
class Source:
    """What it is called, what it measures, how, and for how long it is waited for."""

    name: str
    measures: tuple[Measure, ...]
    ask: Callable[[], Sequence[Sample]]
    limit_seconds: float = 5.0


def measured(sources: Sequence[Source]) -> list[Sample]:
    """What they all say; takes as long as the longest limit at most."""
    outcomes = side_by_side([Task(f"alerts {one.name}", one.ask, one.limit_seconds) for one in sources])
    return [sample for one, out in zip(sources, outcomes, strict=True) for sample in _samples(one, out)]


def _samples(source: Source, outcome: Outcome[Sequence[Sample]]) -> Sequence[Sample]:
    if outcome.value is not None:
        return outcome.value
    because = f"{source.name}: {why_not(outcome, source.limit_seconds)}"
    return [Sample(measure, ALL, None, because) for measure in source.measures]


def yes(measure: Measure, subject: str, why: str) -> Sample:
    """That it is so, where there is a reason to say so; else that it is not."""
    return Sample(measure, subject, 1.0 if why else 0.0, why)


def unknown(measure: Measure, subject: str, why: str) -> Sample:
    """That it cannot be told."""
    return Sample(measure, subject, None, why)
