"""Validation judges keys at rest, waits for the others together, and is stopped by no row."""

import threading
from collections.abc import Callable, Sequence

import pytest

from dualwrite.control.pause import pause
from dualwrite.exceptions import Cancelled
from dualwrite.relay import worker
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import look as reading
from dualwrite.validation import recheck
from dualwrite.validation.look import Look, Records, look_at
from dualwrite.validation.run import validate
from dualwrite.validation.tolerance import Rule
from dualwrite.validation.verdict import Kind
from tests.conftest import TESTER
from tests.support import add, at_work, enabled, fill, tampered

KEY = '["NSE:A","NIFTY 50"]'


def look(stream: Stream) -> Look:
    """One look at the key."""
    return look_at(stream, Store.SCREENER, [KEY], Rule(stream.fields))[KEY]


@pytest.fixture(autouse=True)
def mirrored_row(screener: Session, memberships: Stream) -> None:
    add(screener, "A", weight=2)
    enabled(memberships)


def write(screener: Session, stream: Stream, weight: int) -> None:
    screener.execute("UPDATE index_memberships SET weight = %s WHERE symbol = 'A'", (weight,))
    worker.drain(stream)


def around_reading_the_mirror(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[], None], after: Callable[[], None] = lambda: None
) -> None:
    """The first time the mirror is read, let something happen before and after."""
    read, seen = reading.read, [0]

    def patched(stream: Stream, store: Store, keys: Sequence[str], rule: Rule) -> Records:
        first = store is Store.REGISTRY and not seen[0]
        if first:
            seen[0] = 1
            before()
        found = read(stream, store, keys, rule)
        if first:
            after()
        return found

    monkeypatch.setattr("dualwrite.validation.look.read", patched)


def test_a_row_changed_and_changed_back_between_the_reads_does_not_rest(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority reads 2, then 2 again, the mirror 3 in between: equal texts, but not the same row."""
    around_reading_the_mirror(
        monkeypatch, lambda: write(screener, memberships, 3), lambda: write(screener, memberships, 2)
    )
    assert not look(memberships).rests
    assert list(recheck.recheck(memberships, Store.SCREENER, [KEY])) == []


def test_a_row_written_between_the_reads_of_the_authority_does_not_rest(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    around_reading_the_mirror(monkeypatch, lambda: write(screener, memberships, 3))
    assert not look(memberships).rests


def test_a_difference_seen_once_is_no_verdict(
    registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    around_reading_the_mirror(
        monkeypatch,
        lambda: tampered(registry, "UPDATE index_memberships SET weight = 3"),
        lambda: tampered(registry, "UPDATE index_memberships SET weight = 2"),
    )
    assert list(recheck.recheck(memberships, Store.SCREENER, [KEY])) == []


def test_a_difference_that_stays_is_a_verdict(registry: Session, memberships: Stream) -> None:
    tampered(registry, "UPDATE index_memberships SET weight = 3")
    (verdict,) = recheck.recheck(memberships, Store.SCREENER, [KEY])
    assert (verdict.kind, verdict.history) == (Kind.MISMATCH, "never captured")


def test_keys_that_wait_are_waited_for_together(screener: Session, memberships: Stream) -> None:
    pause(memberships, TESTER)
    fill(screener, 2_000)
    waited: list[float] = []

    class Clock(Watch):
        """Counts what would have been waited."""

        def pause(self, seconds: float) -> None:
            waited.append(seconds)

    run = validate(memberships, watch=Clock())
    assert (run.status, run.unsettled) == ("warning", 2_000)
    assert waited == [0.0, *recheck.PATIENCE]


class Waiting(Watch):
    """Says when it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def pause(self, seconds: float) -> None:
        if seconds:
            self.waits.set()
        super().pause(seconds)


def test_who_waits_for_keys_stops_at_once_when_told_to(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "PATIENCE", (60.0,))
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol = 'A'")
    watch = Waiting()
    with at_work(lambda: list(recheck.recheck(memberships, Store.SCREENER, [KEY], watch=watch))) as work:
        assert watch.waits.wait(20)
        watch.stop()
        with pytest.raises(Cancelled):
            work.result(timeout=20)


def test_one_of_many_rows_of_a_key_that_is_written_as_it_was_does_not_rest(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(150):
        add(screener, "A", weight=2)
    write = "UPDATE index_memberships SET weight = 2 WHERE id = (SELECT max(id) FROM index_memberships)"
    rule = Rule(memberships.fields)
    seen = reading.read(memberships, Store.SCREENER, [KEY], rule)[KEY]
    assert seen == reading.read(memberships, Store.SCREENER, [KEY], rule)[KEY]
    screener.execute(write)
    now = reading.read(memberships, Store.SCREENER, [KEY], rule)[KEY]
    assert (now.count, now.digest) == (seen.count, seen.digest) == (151, now.digest)
    assert now != seen


@pytest.mark.parametrize("weight", ["1000000", "999999.9999999", "1e300", "Infinity", "-Infinity", "NaN"])
def test_a_number_that_the_registry_cannot_hold_is_one_difference_and_no_error(
    screener: Session, memberships: Stream, weight: str
) -> None:
    add(screener, "NEW", weight=weight)
    screener.execute("UPDATE index_memberships SET weight = %s WHERE symbol = 'A'", (weight,))
    add(screener, "GOOD", weight="0.1234567")
    worker.drain(memberships)
    run = validate(memberships)
    assert (run.status, run.missing_in_mirror, run.field_mismatch) == ("failed", 1, 1)
    assert {d["key"] for d in run.differences} == {KEY, '["NSE:NEW","NIFTY 50"]'}
