"""One process relays several streams: what befalls one holds no other one up."""

import threading
from collections.abc import Callable, Iterator

import pytest

from dualwrite import failpoints
from dualwrite.control.status import stream_status
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.integration.relays import unattended
from tests.support import at_work, enabled, fill, one

POISON_KEYS = 200
#: So far the halving of one batch is then: every key has still to be found.
ATTEMPTS = 3
FAILS_AFTER_SECONDS = 30


@pytest.fixture(autouse=True)
def _clear() -> Iterator[None]:
    yield
    failpoints.clear()


@pytest.fixture
def both(memberships: Stream, instruments: Stream, screener: Session) -> list[Stream]:
    """Both streams, mirrored."""
    for stream in (memberships, instruments):
        enabled(stream)
    return [memberships, instruments]


class Amid:
    """What is done when the thread that came to `place` first comes there for the n-th time; other threads pass."""

    def __init__(self, place: str, time: int, action: Callable[[], None]) -> None:
        self.thread, self._times, self._time, self._action = 0, 0, time, action
        failpoints.at(place, self._reached)

    def _reached(self) -> None:
        self.thread = self.thread or threading.get_ident()
        if self.thread != threading.get_ident():
            return
        self._times += 1
        if self._times == self._time:
            self._action()


def test_a_stream_full_of_poison_keys_delays_no_other_one(
    screener: Session, registry: Session, both: list[Stream]
) -> None:
    registry.execute("ALTER TABLE index_memberships ADD CONSTRAINT none CHECK (false) NOT VALID")
    fill(screener, POISON_KEYS)
    stop, other_applied, parked = threading.Event(), threading.Event(), list[int]()

    def write_to_the_other_stream() -> None:
        screener.execute("INSERT INTO instruments (symbol, exchange, name) VALUES ('A', 'NSE', 'Written meanwhile')")
        assert other_applied.wait(FAILS_AFTER_SECONDS), "the other stream was held up"
        parked.append(one(registry, "SELECT count(*) FROM dualwrite_parked"))

    amid = Amid("relay read", ATTEMPTS, write_to_the_other_stream)
    failpoints.at("relay applied", lambda: None if threading.get_ident() == amid.thread else other_applied.set())
    try:
        with at_work(lambda: worker.run(both, stop)) as work:
            while not work.done() and stream_status(both[0])["parked"] < POISON_KEYS:
                stop.wait(0.05)
            stop.set()
            work.result()
        assert parked == [0], "it was relayed amid the halving, not after it"
        assert one(registry, "SELECT count(*) FROM instruments WHERE name = 'Written meanwhile'") == 1
    finally:
        registry.execute("ALTER TABLE index_memberships DROP CONSTRAINT none")


def test_what_ends_one_stream_unforeseen_ends_the_relay_and_is_raised(screener: Session, both: list[Stream]) -> None:
    stop = threading.Event()

    def fail() -> None:
        raise RuntimeError("unforeseen")

    failpoints.at("relay taken", fail)
    fill(screener, 1)
    with pytest.raises(RuntimeError, match="unforeseen"):
        worker.run(both, stop)
    for stream in both:
        unattended(stream)


def test_asked_to_stop_it_finishes_the_batch_in_hand(screener: Session, registry: Session, both: list[Stream]) -> None:
    stop = threading.Event()
    failpoints.at("relay taken", stop.set)
    fill(screener, 5)
    worker.run(both, stop)
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox") == 0
    assert one(registry, "SELECT count(*) FROM index_memberships") == 5
