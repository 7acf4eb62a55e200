"""What is near a ceiling of the outbox, and which stream is stopped for it."""

import pytest

from dualwrite.control.ceiling import Limits, Near, Waiting, decide
from dualwrite.stages import Store

LIMITS = Limits(keys=1_000, bytes=10_000, database_bytes=100_000, alarm_percent=50, worth_stopping=100)
SMALL = (0, 0)


def found(*streams: Waiting, sizes: tuple[int, int] = SMALL, limits: Limits = LIMITS) -> list[Near]:
    return list(decide(Store.SCREENER, streams, sizes, limits))


@pytest.mark.parametrize(("keys", "expected"), [(499, []), (500, [False]), (999, [False]), (1_000, [True])])
def test_keys_are_told_from_half_of_the_ceiling_on_and_stop_the_stream_at_it(keys: int, expected: list[bool]) -> None:
    near = found(Waiting("a", keys, noting=True))
    assert [one.stops for one in near] == expected
    assert all(one.sentence == f"{keys} keys wait in the screener store; the ceiling is 1000" for one in near)


@pytest.mark.parametrize(
    ("sizes", "name", "stops"),
    [
        ((5_000, 0), "outbox", False),
        ((9_999, 0), "outbox", False),
        ((10_000, 0), "outbox", True),
        ((0, 50_000), "database", False),
        ((0, 100_000), "database", True),
    ],
)
def test_for_bytes_the_stream_that_most_keys_wait_of_is_stopped(sizes: tuple[int, int], name: str, stops: bool) -> None:
    (near,) = found(Waiting("a", 200, noting=True), Waiting("b", 300, noting=True), sizes=sizes)
    assert (near.stream, near.stops) == ("b", stops)
    assert near.sentence.startswith(f"the {name} of the screener store has ")


def test_another_stream_is_not_stopped_where_the_one_that_fills_it_is_already() -> None:
    near = found(Waiting("a", 200, noting=True), Waiting("b", 300, noting=False), sizes=(20_000, 0))
    assert [(one.stream, one.stops) for one in near] == [("b", False)]


def test_a_stream_that_is_stopped_is_told_and_not_stopped_again() -> None:
    assert [one.stops for one in found(Waiting("a", 5_000, noting=False))] == [False]


def test_few_waiting_keys_are_not_worth_stopping_for_the_size_of_a_drained_outbox() -> None:
    assert [one.stops for one in found(Waiting("a", 99, noting=True), sizes=(20_000, 0))] == [False]
    assert found(Waiting("a", 0, noting=True), sizes=(20_000, 200_000)) == []


def test_no_ceiling_is_never_near() -> None:
    none = Limits(keys=0, bytes=0, database_bytes=0, alarm_percent=50)
    assert found(Waiting("a", 10**12, noting=True), sizes=(10**15, 10**15), limits=none) == []
    assert found() == []
