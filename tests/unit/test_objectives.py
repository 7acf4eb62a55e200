"""Error budgets: what is allowed, what is spent, and what nobody can tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.objectives import OBJECTIVES, Objective, Seen, budget

MONTH = 30 * 86_400.0
PROMISED = Objective("database", 0.999)  # 2,592 s of a month


@pytest.mark.parametrize(
    ("seen", "met", "left"),
    [
        (Seen(MONTH - 1_296, 1_296, MONTH), True, 0.5),
        (Seen(MONTH - 2_592, 2_592, MONTH), True, 0.0),
        (Seen(MONTH - 2_600, 2_600, MONTH), False, -0.003),
        (Seen(MONTH - 4_000, 1_000, MONTH), None, 0.614),  # what was not seen could have spent it
        (Seen(MONTH / 2, 2_600, MONTH), False, -0.003),
        (Seen(3_600, 0, 3_600), True, 1.0),  # an hour old
        (Seen(0, 0, 3_600), None, 1.0),
    ],
)
def test_a_budget_is_met_spent_or_not_to_be_told(seen: Seen, met: bool | None, left: float) -> None:
    found = budget(PROMISED, seen, MONTH)
    assert found.met is met
    assert found.allowed_seconds == pytest.approx(2_592)
    assert found.left == pytest.approx(left, abs=0.001)


def test_what_was_never_seen_has_no_availability() -> None:
    assert Seen(0, 0, 100).availability is None
    assert Seen(0, 0, 100).as_data() == {"availability": None, "down_seconds": 0, "blind_seconds": 100}
    assert Seen(75, 25, 200).availability == 0.75


SECONDS = st.floats(0, MONTH)


@given(SECONDS, SECONDS, SECONDS)
def test_blind_time_never_makes_a_budget_look_better(up: float, down: float, blind: float) -> None:
    seen = budget(PROMISED, Seen(up, down, up + down + blind), MONTH)
    sighted = budget(PROMISED, Seen(up + blind, down, up + down + blind), MONTH)
    assert seen.left == sighted.left
    assert not (seen.met and not sighted.met)


def test_every_component_has_an_objective_and_none_is_promised_all_of_the_time() -> None:
    assert {check.name for check in ALL} <= {one.component for one in OBJECTIVES}
    assert all(0 < one.target < 1 for one in OBJECTIVES)


def test_a_promise_of_all_of_the_time_is_broken_by_a_second() -> None:
    always = Objective("database", 1.0)
    assert budget(always, Seen(100, 0, 100), MONTH).met is True
    assert budget(always, Seen(100, 1, 101), MONTH).met is False
    assert budget(always, Seen(100, 1, 101), MONTH).left == 0
