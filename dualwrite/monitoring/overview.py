"""The report an operator opens first: health, streams, services, alerts, parameters, and for each problem what to do
next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dualwrite.configuration import report as configuration
from dualwrite.models import AlertState
from dualwrite.monitoring import health, services, streams
from dualwrite.monitoring.alerts import report as alerts
from dualwrite.monitoring.health import Check, Report, Result
from dualwrite.monitoring.services import NOTHING, SERVICES, Runs
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.monitoring.status import Status
from dualwrite.stream import Stream


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and the next command or step."""

    where: str
    why: str
    next: str


@dataclass(frozen=True)
class Overview:
    """Health by component, the rows of `dualwrite status`, runs of the services, open alerts, parameters; and the
    problems of all. What could not be read is empty, and its component says why.
    """

    report: Report
    streams: tuple[dict[str, Any], ...]
    runs: Runs = NOTHING
    alerts: tuple[dict[str, Any], ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, the components' first; a database that is away is not told again for each stream."""
        parts = _once([_of_component(result) for result in self.report.results if result.status is not Status.UP])
        said = {problem.why for problem in parts}
        streams = [problem for row in self.streams for problem in _once(_of_stream(row))]
        alerts = [_of_alert(alert) for alert in self.alerts if alert["state"] == AlertState.FIRING]
        return (*parts, *(problem for problem in (*streams, *_once(alerts)) if problem.why not in said))

    @property
    def services(self) -> dict[str, Any]:
        """Each service with its state, its last run and its next one."""
        states = {result.name: result.status for result in self.report.results}
        return {name: self.runs.of(name, states.get(component)) for name, (component, _) in SERVICES.items()}

    @property
    def half_done(self) -> list[dict[str, str]]:
        """What is under way or was left half-done, by stream."""
        return [{"stream": row["name"], "what": row["transition"]} for row in self.streams if row["transition"]]


def overview(checks: Sequence[Check], asked: Sequence[Stream]) -> Overview:
    """Ask everything at once; takes as long as the longest limit at most."""
    more: list[Task[Any]] = [
        services.task(),
        Task("alerts of the overview", lambda: tuple(alerts.report().alerts), alerts.LIMIT_SECONDS),
        Task("configuration of the overview", configuration.report, services.LIMIT_SECONDS),
    ]
    questions: list[Task[Any]] = [*map(health.task, checks), *map(streams.task, asked), *more]
    outcomes = side_by_side(questions)
    of_checks, of_streams = outcomes[: len(checks)], outcomes[len(checks) : -len(more)]
    results = tuple(health.result(check, outcome) for check, outcome in zip(checks, of_checks, strict=True))
    rows = tuple(streams.row(stream, outcome) for stream, outcome in zip(asked, of_streams, strict=True))
    runs, open_alerts, parameters = (outcome.value for outcome in outcomes[-len(more) :])
    return Overview(Report(results), rows, runs or NOTHING, open_alerts or (), parameters or {})


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """The first of those that say the same."""
    return list({problem.why: problem for problem in reversed(problems)}.values())[::-1]


def _of_stream(row: Mapping[str, Any]) -> list[Problem]:
    found = [Problem(row["name"], gate["why"], gate["mend"]) for gate in row["blocked_by"]]
    if row["transition"]:
        what, _, command = row["transition"].partition("; ")
        found.append(Problem(row["name"], f"half-done: {what}", command))
    return found


def _of_alert(alert: Mapping[str, Any]) -> Problem:
    return Problem(str(alert["subject"]), f"alert {alert['name']}: {alert['why']}", str(alert["runbook"]))


def _of_component(result: Result) -> Problem:
    return Problem(result.name, str(result.details.get("error", result.status)), result.mend)
