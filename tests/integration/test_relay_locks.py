"""Between checking its right to write and committing, a relay lets nobody take that right away."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from dualwrite import switch
from dualwrite.exceptions import Superseded
from dualwrite.relay.applier import Applier
from dualwrite.relay.fences import acquire
from dualwrite.relay.pipe import Moved, Pipe
from dualwrite.relay.reader import Reader
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import add, at_work, enabled, mirrored, one, opened, until_it_waits


@pytest.fixture
def pipe(screener: Session, memberships: Stream) -> Iterator[Pipe]:
    """A pipe with one note to relay."""
    enabled(memberships)
    add(screener, "A", weight=1)
    with opened(memberships) as found:
        yield found


def take_every_fence(stream: Stream) -> object:
    with dedicated(Store.REGISTRY, "other relay") as session:
        return acquire(session, stream, range(16))


def change_the_role(stream: Stream) -> object:
    with dedicated(Store.REGISTRY, "switch") as session:
        change = "UPDATE dualwrite.stream_state SET role = 'authority' WHERE stream = %s"
        return session.execute(change, (stream.name,)).rowcount


@pytest.mark.parametrize("intrude", [take_every_fence, change_the_role])
def test_who_takes_the_right_away_waits_for_the_batch_that_was_checked(
    pipe: Pipe,
    registry: Session,
    memberships: Stream,
    monkeypatch: pytest.MonkeyPatch,
    intrude: Callable[[Stream], object],
) -> None:
    check = Applier._check_right
    arrived, go_on = threading.Event(), threading.Event()

    def check_and_stop(self: Applier) -> None:
        check(self)
        arrived.set()
        go_on.wait(20)

    monkeypatch.setattr(Applier, "_check_right", check_and_stop)
    with at_work(pipe.move) as relaying:
        assert arrived.wait(20)
        with at_work(lambda: intrude(memberships)) as intruding:
            try:
                until_it_waits(registry, intruding)
                assert mirrored(registry) == {}
            finally:
                go_on.set()
            assert relaying.result(20) == Moved(keys=1)
            assert intruding.result(20)
    assert mirrored(registry) == {"NSE:A": 1}
    with pytest.raises(Superseded):
        add_and_move(pipe)


def add_and_move(pipe: Pipe) -> None:
    with dedicated(Store.SCREENER, "test") as session:
        add(session, "B")
    pipe.move()


def test_following_and_relaying_take_their_locks_in_the_same_order(
    pipe: Pipe, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay is stopped after the first of its two locks; in opposite orders each would wait for the other."""
    execute, locks = pipe._mirror.execute, (statement("relay", "mirror_state"), statement("relay", "fences"))
    arrived, go_on = threading.Event(), threading.Event()

    def stop_after_a_lock(query: Any, *values: Any, **options: Any) -> Any:
        found = execute(query, *values, **options)
        if query in locks and not arrived.is_set():
            arrived.set()
            go_on.wait(20)
        return found

    monkeypatch.setattr(pipe._mirror, "execute", stop_after_a_lock)
    with at_work(pipe.move) as relaying:
        assert arrived.wait(20)
        with at_work(lambda: switch.follow(memberships, Store.REGISTRY, 0, TESTER)) as following:
            try:
                until_it_waits(registry, following)
            finally:
                go_on.set()
            assert relaying.result(20) == Moved(keys=1)
            following.result(20)
    assert mirrored(registry) == {"NSE:A": 1}


def test_the_relays_own_session_is_refused_outside_of_its_transaction(pipe: Pipe, registry: Session) -> None:
    pipe.move()
    with pytest.raises(psycopg.Error, match="the screener store takes its writes"):
        pipe._mirror.execute("DELETE FROM index_memberships")
    assert one(registry, "SELECT count(*) FROM index_memberships") == 1


def test_a_record_is_read_later_than_its_note(
    pipe: Pipe, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Reader.read

    def write_first(self: Reader, low: int, high: int) -> Any:
        screener.execute("UPDATE index_memberships SET weight = 2")
        return read(self, low, high)

    monkeypatch.setattr(Reader, "read", write_first)
    pipe.move()
    assert mirrored(registry) == {"NSE:A": 2}
