"""How benchmarks run their cases in turn, compare them and judge the result."""

import json
from collections.abc import Callable

import pytest

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.harness import (
    Case,
    Goal,
    Group,
    Ratio,
    Report,
    Sample,
    case_reports,
    peak_spread,
    quotient,
    ratio_reports,
    run_rounds,
)


def _silent(_: str) -> None:
    pass


def _case(ran: list[str], name: str, seconds: list[float]) -> Case:
    """A case that takes those seconds, run by run, and notes that it ran."""
    remaining = iter(seconds)

    def run() -> Sample:
        ran.append(name)
        return Sample(next(remaining))

    return run


def _group(ran: list[str], goal: Goal, between: Callable[[], None] = lambda: None) -> Group:
    cases = {"slow": _case(ran, "slow", [9, 2, 4, 30]), "fast": _case(ran, "fast", [9, 1, 4, 10])}
    return Group(3, cases, [Ratio("cost", quotient("slow", "fast"), goal)], between)


def test_cases_take_turns_and_every_second_round_is_reversed() -> None:
    ran: list[str] = []
    run_rounds(_group(ran, Goal(2)), _silent)
    assert ran == ["slow", "fast", "fast", "slow"] * 2


def test_the_warm_up_round_is_run_but_not_counted() -> None:
    between: list[int] = []
    rounds = run_rounds(_group([], Goal(2), lambda: between.append(1)), _silent)
    assert [found["slow"].seconds for found in rounds] == [2, 4, 30]
    assert len(between) == 4


def test_a_single_round_has_no_warm_up() -> None:
    ran: list[str] = []
    group = Group(1, {"only": _case(ran, "only", [1])}, [])
    assert len(run_rounds(group, _silent)) == 1
    assert ran == ["only"]


def test_a_ratio_is_computed_within_each_round_and_not_from_the_medians() -> None:
    group = _group([], Goal(2))
    found = ratio_reports(group, run_rounds(group, _silent))["cost"]
    # Rounds: 2/1, 4/4, 30/10. The quotient of the medians would be 4/4.
    assert (found["median"], found["min"], found["max"]) == (2, 1, 3)


@pytest.mark.parametrize(
    ("goal", "met"),
    [(Goal(2), True), (Goal(1.9), False), (Goal(2, at_least=True), True), (Goal(2.1, at_least=True), False)],
)
def test_a_goal_is_met_up_to_its_limit_by_the_median(goal: Goal, met: bool) -> None:
    group = _group([], goal)
    assert ratio_reports(group, run_rounds(group, _silent))["cost"]["met"] is met


def test_a_case_reports_its_median_and_all_runs_to_the_microsecond() -> None:
    group = Group(3, {"one": _case([], "one", [0, 0.0001234, 5, 0.0001236])}, [])
    found = case_reports(group, run_rounds(group, _silent))["one"]
    assert found == {"median_seconds": 0.0001236, "runs": [0.0001234, 5.0, 0.0001236]}


def test_memory_is_judged_by_the_largest_peak_beside_the_smallest() -> None:
    assert peak_spread({"a": Sample(1, 300), "b": Sample(1, 200), "c": Sample(1)}) == 1.5


def test_the_report_is_json_and_the_table_names_what_was_missed() -> None:
    group = _group([], Goal(1.5))
    rounds = run_rounds(group, _silent)
    found = Report(
        name="x", rows=7, machine="m", cases=case_reports(group, rounds), ratios=ratio_reports(group, rounds)
    )
    assert json.loads(json.dumps(found))["ratios"]["cost"] == {
        "median": 2.0,
        "min": 1.0,
        "max": 3.0,
        "goal": 1.5,
        "goal_is": "at most",
        "met": False,
    }
    assert "at most 1.5: MISSED" in report.table(found)


def test_an_unknown_benchmark_lists_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "'capture', 'relay'" in error


@pytest.mark.parametrize("arguments", [["capture", "--rows", "1"], ["relay", "--rounds", "0"]])
def test_too_few_rows_or_rounds_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "at least" in capsys.readouterr().err
