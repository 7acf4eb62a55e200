"""Running cases in turn and comparing them pair by pair. No I/O but the cases' own and `say`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypedDict


@dataclass(frozen=True)
class Sample:
    """One run of a case: its seconds, and the peak memory in bytes of the process that did it where measured."""

    seconds: float
    peak_bytes: int | None = None


#: What one round measured, by case.
Round = Mapping[str, Sample]
Case = Callable[[], Sample]


@dataclass(frozen=True)
class Goal:
    """A ratio's bound."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Ratio:
    """A number computed from each round by itself; the median over the rounds has to keep the goal."""

    name: str
    of: Callable[[Round], float]
    goal: Goal


@dataclass(frozen=True)
class Group:
    """Cases that are compared with each other and so run in the same rounds.

    `between` runs, untimed, after each round. A round that is not counted comes first, unless there is only one.
    """

    rounds: int
    cases: Mapping[str, Case]
    ratios: Sequence[Ratio]
    between: Callable[[], None] = lambda: None


class CaseReport(TypedDict, total=False):
    """Median and all runs of a case, in seconds."""

    median_seconds: float
    runs: list[float]
    peak_bytes: list[int]


class RatioReport(TypedDict):
    """A ratio over the rounds, and whether its median keeps the goal."""

    median: float
    min: float
    max: float
    goal: float
    goal_is: str
    met: bool


class Report(TypedDict):
    """A benchmark's result."""

    name: str
    rows: int
    machine: str
    cases: dict[str, CaseReport]
    ratios: dict[str, RatioReport]


def quotient(above: str, below: str) -> Callable[[Round], float]:
    """Seconds of the one case by seconds of the other."""
    return lambda found: found[above].seconds / found[below].seconds


def peak_spread(found: Round) -> float:
    """The largest peak memory by the smallest, among the cases that have one."""
    peaks = [sample.peak_bytes for sample in found.values() if sample.peak_bytes]
    return max(peaks) / min(peaks)


def run_rounds(group: Group, say: Callable[[str], None]) -> list[Round]:
    """Run every case once a round, each second round in reverse, so that none always profits from going first."""
    found: list[Round] = []
    warm_up = 1 if group.rounds > 1 else 0
    for number in range(warm_up + group.rounds):
        order = list(group.cases)[:: -1 if number % 2 else 1]
        measured = {name: group.cases[name]() for name in order}
        group.between()
        counted = number >= warm_up
        label = f"round {number - warm_up + 1} of {group.rounds}" if counted else "warm-up"
        say(f"{label}: " + ", ".join(f"{r.name} {r.of(measured):.2f}" for r in group.ratios))
        if counted:
            found.append(measured)
    return found


def case_reports(group: Group, rounds: Sequence[Round]) -> dict[str, CaseReport]:
    """Median and runs of each case."""
    return {name: _case([found[name] for found in rounds]) for name in group.cases}


def ratio_reports(group: Group, rounds: Sequence[Round]) -> dict[str, RatioReport]:
    """Each ratio's median, extremes and goal."""
    return {ratio.name: _ratio(ratio, [ratio.of(found) for found in rounds]) for ratio in group.ratios}


def _case(samples: Sequence[Sample]) -> CaseReport:
    seconds = [sample.seconds for sample in samples]
    report = CaseReport(median_seconds=_rounded(median(seconds)), runs=[_rounded(s) for s in seconds])
    peaks = [sample.peak_bytes for sample in samples if sample.peak_bytes is not None]
    if peaks:
        report["peak_bytes"] = peaks
    return report


def _ratio(ratio: Ratio, values: Sequence[float]) -> RatioReport:
    middle = median(values)
    return RatioReport(
        median=round(middle, 4),
        min=round(min(values), 4),
        max=round(max(values), 4),
        goal=ratio.goal.limit,
        goal_is="at least" if ratio.goal.at_least else "at most",
        met=ratio.goal.met(middle),
    )


def _rounded(seconds: float) -> float:
    """To six significant digits, so that microseconds stay visible."""
    return float(f"{seconds:.6g}")
