"""A breaker's rules, decided without Redis or a mirror."""

import pytest

from dualwrite.breaker.state import FIRST_PAUSE_SECONDS, TURN_SECONDS, Position, State

NOW = 1_000_000.0


def after(failures: int, state: State | None = None, now: float = NOW, longest: float = 30.0) -> State:
    found = state or State()
    for _ in range(failures):
        found = found.failed("away", now, most=3, longest=longest)
    return found


def test_it_opens_with_the_failure_that_makes_the_number_full() -> None:
    assert [after(n).position(NOW) for n in (0, 2, 3)] == [Position.CLOSED, Position.CLOSED, Position.OPEN]
    assert after(3).error == "away"
    assert after(3).opened_at == NOW


def test_it_is_half_open_when_its_pause_is_over_and_each_further_failure_doubles_it_up_to_a_limit() -> None:
    state, pauses, now = after(3), [], NOW
    for _ in range(7):
        pauses.append(state.try_at - now)
        assert state.position(state.try_at - 0.001) is Position.OPEN
        now = state.try_at
        assert state.position(now) is Position.HALF_OPEN
        state = after(1, state, now)
    assert pauses == [FIRST_PAUSE_SECONDS * n for n in (1, 2, 4, 8, 16, 30, 30)]
    assert state.opened_at == NOW, "it has been open since then"


def test_failures_of_those_that_were_under_way_when_it_opened_do_not_make_the_pause_longer() -> None:
    assert after(10).try_at == after(3).try_at


def test_whoever_tries_has_the_turn_alone_until_it_ends() -> None:
    state = after(3)
    tried = state.tried(state.try_at)
    assert tried.position(state.try_at) is Position.OPEN
    assert tried.position(state.try_at + TURN_SECONDS) is Position.HALF_OPEN


def test_a_failed_try_is_a_failure_although_its_turn_is_not_over() -> None:
    state = after(3)
    tried = state.tried(state.try_at)
    again = after(1, tried, state.try_at + 0.1)
    assert again.try_at == state.try_at + 0.1 + 2 * FIRST_PAUSE_SECONDS
    assert (again.failures, again.trying) == (4, False)


@pytest.mark.parametrize("state", [State(), after(2), after(3)])
def test_it_is_kept_as_text(state: State) -> None:
    assert State.of_text(state.as_text()) == state


@pytest.mark.parametrize("text", [None, "", b"nonsense", "[]", '{"of": "another release"}'])
def test_what_cannot_be_read_is_closed(text: str | bytes | None) -> None:
    assert State.of_text(text) == State()
