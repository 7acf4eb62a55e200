"""What becomes of an alert, without any server: given cases, and whatever Hypothesis thinks of."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.models import AlertState, Comparison, Measure
from dualwrite.monitoring.alerts.states import ALL, Open, Rule, Sample, Transition, transitions

PENDING, FIRING, ACKNOWLEDGED = AlertState.PENDING, AlertState.FIRING, AlertState.ACKNOWLEDGED
SILENCED, RESOLVED = AlertState.SILENCED, AlertState.RESOLVED
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LAG = Rule("lag", Measure.LAG, Comparison.ABOVE, 60, for_seconds=100, cool_down_seconds=200)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def lag(value: float | None, subject: str = "s") -> Sample:
    return Sample(Measure.LAG, subject, value, "why")


class Course:
    """One rule and what is opened by it, from evaluation to evaluation."""

    def __init__(self, rule: Rule = LAG) -> None:
        self.rule = rule
        self.opened: dict[str, Open] = {}
        self.history: list[tuple[float, Transition]] = []

    def sees(self, seconds: float, *samples: Sample) -> list[AlertState]:
        """The states after this evaluation; what is over is none."""
        for one in list(transitions([self.rule], samples, list(self.opened.values()), at(seconds))):
            if one.after.state is RESOLVED:
                del self.opened[one.after.subject]
            else:
                self.opened[one.after.subject] = one.after
            if one.changes_state:
                self.history.append((seconds, one))
        return [one.state for one in self.opened.values()]

    def becomes(self, state: AlertState, until: datetime | None = None) -> None:
        """What an operator does."""
        (one,) = self.opened.values()
        self.opened[one.subject] = Open(one.rule, one.subject, state, one.since, one.fine_since, until)

    def times(self, state: AlertState) -> list[float]:
        return [when for when, one in self.history if one.after.state is state]


def test_it_fires_only_when_it_was_bad_for_as_long_as_the_rule_wants_and_is_over_a_cool_down_later() -> None:
    course = Course()
    assert course.sees(0, lag(61)) == [PENDING]
    assert course.sees(99, lag(61)) == [PENDING]
    assert course.sees(100, lag(500)) == [FIRING]
    assert course.sees(150, lag(60)) == [FIRING]
    assert course.sees(349, lag(0)) == [FIRING]
    assert course.sees(350, lag(0)) == []
    assert [one.reason for _, one in course.history] == ["lag 61, above 60", "lag 500, above 60", "it is fine: lag 0"]


def test_what_is_bad_for_a_moment_is_never_told() -> None:
    course = Course()
    course.sees(0, lag(61))
    assert course.sees(50, lag(3)) == []
    assert course.sees(60, lag(61)) == [PENDING]
    assert course.sees(120, lag(61)) == [PENDING], "the time before counts no more"


def test_what_comes_and_goes_is_told_once() -> None:
    course = Course(Rule("lag", Measure.LAG, Comparison.ABOVE, 60, cool_down_seconds=200))
    for turn in range(20):
        assert course.sees(turn * 100, lag(61 if turn % 2 == 0 else 0)) == [FIRING]
    assert course.times(FIRING) == [0]


def test_what_cannot_be_measured_changes_nothing() -> None:
    course = Course()
    assert course.sees(0, lag(None)) == []
    course.sees(0, lag(61))
    assert course.sees(200, lag(None)) == [PENDING]
    assert course.sees(201, Sample(Measure.LAG, ALL, None, "the source hangs")) == [PENDING]
    assert course.sees(202, lag(61)) == [FIRING]
    assert course.sees(9000, Sample(Measure.LAG, ALL, None)) == [FIRING], "unknown is not fine"


def test_a_sample_of_the_subject_counts_before_one_of_all() -> None:
    course = Course()
    course.sees(0, lag(61))
    assert course.sees(100, lag(61), Sample(Measure.LAG, ALL, None, "others hang")) == [FIRING]


def test_what_is_gone_is_over_and_says_so() -> None:
    course = Course()
    course.sees(0, lag(61))
    course.sees(100, lag(61))
    course.sees(200)
    assert course.sees(400) == []
    assert "no such thing" in course.history[-1][1].reason


def test_a_rule_that_is_switched_off_ends_its_alerts() -> None:
    one = Open("lag", "s", FIRING, BEGIN)
    (found,) = transitions([], [lag(61)], [one], at(5))
    assert (found.after.state, found.reason) == (RESOLVED, "its rule is switched off")


@pytest.mark.parametrize("state", [ACKNOWLEDGED, SILENCED])
def test_what_somebody_knows_of_stays_quiet_until_it_is_over(state: AlertState) -> None:
    course = Course()
    course.sees(0, lag(61))
    course.sees(100, lag(61))
    course.becomes(state, at(9000) if state is SILENCED else None)
    assert course.sees(300, lag(99)) == [state]
    course.sees(400, lag(0))
    assert course.sees(600, lag(0)) == []


def test_a_silence_ends_and_is_told_then_unless_it_is_fine() -> None:
    course = Course()
    course.sees(0, lag(61))
    course.sees(100, lag(61))
    course.becomes(SILENCED, at(500))
    assert course.sees(499, lag(61)) == [SILENCED]
    assert course.sees(500, lag(61)) == [FIRING]
    assert course.history[-1][1].reason == "the silence is over"
    course.becomes(SILENCED, at(600))
    course.sees(600, lag(0))
    assert course.sees(800, lag(0)) == []
    assert course.times(FIRING) == [100, 500]


@pytest.mark.parametrize(
    ("comparison", "bad", "fine"),
    [
        (Comparison.ABOVE, 61, 60),
        (Comparison.AT_LEAST, 60, 59),
        (Comparison.BELOW, 59, 60),
        (Comparison.AT_MOST, 60, 61),
    ],
)
def test_a_threshold_is_meant_exactly(comparison: Comparison, bad: float, fine: float) -> None:
    rule = Rule("r", Measure.LAG, comparison, 60)
    assert Course(rule).sees(0, lag(bad)) == [FIRING]
    assert Course(rule).sees(0, lag(fine)) == []


VALUES = st.sampled_from([None, 0.0, 61.0])
STEPS = st.lists(
    st.tuples(st.floats(0.1, 300), VALUES, st.booleans(), st.sampled_from([None, ACKNOWLEDGED, SILENCED])), max_size=60
)


@given(STEPS, st.sampled_from([0.0, 100.0]), st.sampled_from([0.0, 200.0]))
def test_whatever_happens_the_order_of_states_holds_and_nobody_is_spammed(
    steps: Sequence[tuple[float, float | None, bool, AlertState | None]], lasts: float, cools: float
) -> None:
    course = Course(Rule("lag", Measure.LAG, Comparison.ABOVE, 60, lasts, cools))
    now = 0.0
    ends: list[float] = []
    for after, value, measured, done in steps:
        now += after
        if done and course.opened and all(one.state.fires for one in course.opened.values()):
            course.becomes(done, at(now + 50) if done is SILENCED else None)
        course.sees(now, *([lag(value)] if measured else []))
        assert len(course.opened) <= 1
        ends += course.times(RESOLVED)[len(ends) :]
    for when, one in course.history:
        was = one.before.state if one.before else None
        assert (was, one.after.state) in ALLOWED
        if was is PENDING and one.after.state is FIRING:
            assert at(when) - one.after.since >= timedelta(seconds=lasts)
        if one.after.state is RESOLVED and was is not PENDING:
            fine = one.before.fine_since if one.before else None
            assert cools == 0 or (fine and at(when) - fine >= timedelta(seconds=cools))
    fired = [when for when, one in course.history if one.after.state is FIRING and was_not_silent(one)]
    assert all(later - earlier >= cools for earlier, later in itertools.pairwise(fired))


def was_not_silent(one: Transition) -> bool:
    return one.before is None or one.before.state is PENDING


ALLOWED = {
    (None, PENDING),
    (None, FIRING),
    (PENDING, FIRING),
    (PENDING, RESOLVED),
    (FIRING, RESOLVED),
    (ACKNOWLEDGED, RESOLVED),
    (SILENCED, RESOLVED),
    (SILENCED, FIRING),
}


@given(STEPS)
def test_the_same_evaluation_twice_changes_no_state_the_second_time(
    steps: Sequence[tuple[float, float | None, bool, AlertState | None]],
) -> None:
    course = Course()
    now = 0.0
    for after, value, _, _ in steps:
        now += after
        course.sees(now, lag(value))
        known = len(course.history)
        course.sees(now, lag(value))
        assert len(course.history) == known
