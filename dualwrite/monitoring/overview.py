"""The report an operator opens first: health, streams, and for each problem what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dualwrite.monitoring import health, streams
from dualwrite.monitoring.health import Check, Report, Result
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
    """Health by component, the rows of `dualwrite status`, the problems of both."""

    report: Report
    streams: tuple[dict[str, Any], ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, the components' first; a database that is away is not told again for each stream."""
        parts = _once([_of_component(result) for result in self.report.results if result.status is not Status.UP])
        said = {problem.why for problem in parts}
        streams = [problem for row in self.streams for problem in _once(_of_stream(row))]
        return (*parts, *(problem for problem in streams if problem.why not in said))


def overview(checks: Sequence[Check], asked: Sequence[Stream]) -> Overview:
    """Ask everything at once; takes as long as the longest limit at most."""
    questions: list[Task[Any]] = [*map(health.task, checks), *map(streams.task, asked)]
    outcomes = side_by_side(questions)
    of_checks, of_streams = outcomes[: len(checks)], outcomes[len(checks) :]
    results = tuple(health.result(check, outcome) for check, outcome in zip(checks, of_checks, strict=True))
    rows = tuple(streams.row(stream, outcome) for stream, outcome in zip(asked, of_streams, strict=True))
    return Overview(Report(results), rows)


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """The first of those that say the same."""
    return list({problem.why: problem for problem in reversed(problems)}.values())[::-1]


def _of_stream(row: Mapping[str, Any]) -> list[Problem]:
    found = [Problem(row["name"], gate["why"], gate["mend"]) for gate in row["blocked_by"]]
    if row["transition"]:
        what, _, command = row["transition"].partition("; ")
        found.append(Problem(row["name"], f"half-done: {what}", command))
    return found


def _of_component(result: Result) -> Problem:
    return Problem(result.name, str(result.details.get("error", result.status)), result.mend)
