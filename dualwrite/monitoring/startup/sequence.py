"""Asks the steps one after another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.exceptions import Unhealthy
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.startup.steps import Step, steps


@dataclass(frozen=True)
class Finding:
    """How a step came out; `blocking`: it did not pass, and no request is taken because of it."""

    name: str
    passed: bool
    sentence: str
    seconds: float
    blocking: bool = False
    mend: str = ""

    @property
    def line(self) -> str:
        """For people."""
        if self.passed:
            return f"{self.name}: {self.sentence}"
        return f"{self.name}: {self.sentence}; {self.mend}"

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "seconds": round(self.seconds, 3)}


@dataclass(frozen=True)
class Report:
    """All steps that were asked."""

    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> list[Finding]:
        """Why no request is taken."""
        return [found for found in self.findings if found.blocking]

    @property
    def told(self) -> list[Finding]:
        """What did not pass, and blocks nothing."""
        return [found for found in self.findings if not found.passed and not found.blocking]


def start_up(asked: Sequence[Step] | None = None) -> Report:
    """Ask them in order. Raises nothing foreseen."""
    return Report(tuple(_findings(steps() if asked is None else asked)))


def _findings(asked: Sequence[Step]) -> Iterator[Finding]:
    away: set[str] = set()
    for step in asked:
        missing = [store.value for store in step.needs if store.value in away]
        if missing:
            sentence = f"not asked, as the {' and the '.join(missing)} cannot be used"
            yield Finding(step.name, False, sentence, 0.0, step.blocks, f"see {missing[0]}")
            continue
        (outcome,) = side_by_side([Task(f"start-up {step.name}", step.ask, step.limit_seconds)])
        found = _found(step, outcome)
        if not found.passed:
            away.add(step.name)
        yield found


def _found(step: Step, outcome: Outcome[str]) -> Finding:
    if outcome.value is not None:
        return Finding(step.name, True, outcome.value, outcome.seconds)
    return Finding(step.name, False, _why(step, outcome.error), outcome.seconds, step.blocks, step.mend)


def _why(step: Step, error: Exception | None) -> str:
    if error is None:
        return f"no answer within {step.limit_seconds:g} s"
    if isinstance(error, Unhealthy | DualWriteError):
        return str(error)
    return f"unexpected error ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
