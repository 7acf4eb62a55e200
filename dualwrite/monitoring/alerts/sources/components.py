"""What the health checks tell: which component is down, whether the relay fails, how long answers took."""

from collections.abc import Sequence

from dualwrite.models import Measure
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.health import Report, Result, run_checks
from dualwrite.monitoring.status import Status

RELAY = "relay"
#: Components that a rule of their own is about, so that one thing is not told twice.
OWN_RULES = (RELAY, "configService")


def from_results(results: Sequence[Result]) -> list[Sample]:
    """The samples of what the checks found."""
    down = [_state(Measure.COMPONENT_DOWN, one) for one in results if one.name not in OWN_RULES]
    failing = [_state(Measure.RELAY_FAILING, one) for one in results if one.name == RELAY]
    answered = [one for one in results if one.status in (Status.UP, Status.OUT_OF_SERVICE)]
    return [*down, *failing, *map(_response, answered)]


def _state(measure: Measure, one: Result) -> Sample:
    why = str(one.details.get("error", one.status))
    if one.status is Status.UNKNOWN:
        return unknown(measure, one.name, why)
    return yes(measure, one.name, "" if one.status is Status.UP else f"{why}; {one.mend}")


def _response(one: Result) -> Sample:
    return Sample(Measure.RESPONSE, one.name, round(one.seconds, 3), f"{one.name} answered in {one.seconds:.2f} s")


def source(report: Report | None) -> Source:
    """What this report found; without one all checks are asked, each of which has its own limit."""
    return Source(
        "health checks",
        (Measure.COMPONENT_DOWN, Measure.RESPONSE, Measure.RELAY_FAILING),
        lambda: from_results((report or run_checks(ALL)).results),
        max(check.limit_seconds for check in ALL) + 2,
    )
