"""Health checks: what one is, how it is run, what it answers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dualwrite.exceptions import DualWriteError, StoreUnreachable
from dualwrite.monitoring.exceptions import Unhealthy
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.status import Status, worst

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Check(ABC):
    """A question about one component; its fields are its options. `mend`: what to do when it is not UP."""

    name: str
    mend: str
    limit_seconds: float = 3.0

    @abstractmethod
    def run(self) -> Mapping[str, Any]:
        """Return details of a component that is UP; raise Down, OutOfService or CannotTell otherwise.

        StoreUnreachable counts as CannotTell, any other DualWriteError as Down.
        """


@dataclass(frozen=True)
class Result:
    """How one component is; `seconds` is the time the check took."""

    name: str
    status: Status
    seconds: float
    mend: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {"status": self.status.value, "details": {**self.details, "seconds": round(self.seconds, 3)}}


@dataclass(frozen=True)
class Report:
    """All components asked for."""

    results: tuple[Result, ...]

    @property
    def status(self) -> Status:
        """The worst of them."""
        return worst(result.status for result in self.results)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        components = {result.name: result.as_data() for result in self.results}
        return {"status": self.status.value, "components": components}


def run_checks(checks: Sequence[Check], within: float | None = None) -> Report:
    """Run the checks side by side; one that hangs is DOWN after its limit, or `within` where that is shorter."""
    outcomes = side_by_side([task(check) for check in checks], within)
    return Report(tuple(result(check, outcome, within) for check, outcome in zip(checks, outcomes, strict=True)))


def task(check: Check) -> Task[Mapping[str, Any]]:
    """The check as a question for `side_by_side`."""
    return Task(f"health {check.name}", check.run, check.limit_seconds)


def result(check: Check, outcome: Outcome[Mapping[str, Any]], within: float | None = None) -> Result:
    """What the outcome means."""
    if outcome.error is not None:
        status, details = _meaning(check, outcome.error)
    elif outcome.value is not None:
        status, details = Status.UP, outcome.value
    else:
        limit = min(check.limit_seconds, within or check.limit_seconds)
        status, details = Status.DOWN, {"error": f"no answer within {limit:g} s"}
    return Result(check.name, status, outcome.seconds, check.mend, details)


def _meaning(check: Check, error: Exception) -> tuple[Status, Mapping[str, Any]]:
    if isinstance(error, Unhealthy):
        return error.status, {"error": str(error), **error.details}
    if isinstance(error, StoreUnreachable):
        # The store's own component says DOWN; of this one nothing is known.
        return Status.UNKNOWN, {"error": str(error)}
    if isinstance(error, DualWriteError):
        return Status.DOWN, {"error": str(error)}
    log.error("health check %s failed unexpectedly", check.name, exc_info=error)
    return Status.DOWN, {"error": f"unexpected error ({type(error).__name__}); the log has it"}
