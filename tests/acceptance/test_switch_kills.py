"""Writers, relays and a switching operator, each a process of its own, are killed at random: nothing is lost.

Everything that was killed is started again. In the end both stores are equal to each other and to what was
acknowledged; only what a writer had sent when it was killed may or may not be there.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dualwrite import outbox, switch
from dualwrite.control.enable import enable
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.acceptance.switch_actors import HOT
from tests.acceptance.switch_cast import NAMES, UNBRAKED, Cast
from tests.conftest import TESTER
from tests.support import one
from tests.writing import TABLES, put, records

pytestmark = pytest.mark.alone

ROLE = "SELECT role, epoch FROM dualwrite.stream_state WHERE stream = 'index_memberships'"


@contextmanager
def watched() -> Iterator[list[str]]:
    """Look all the time whether both stores are the authority; the list tells when they were."""
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        with dedicated(Store.SCREENER, "test watch") as old, dedicated(Store.REGISTRY, "test watch") as new:
            while not stop.wait(0.01):
                rows = [session.execute(ROLE).fetchone() for session in (new, old, new)]
                # The registry is read again, as a switch may have come between the two stores' reads.
                if rows[0] == rows[2] and all(row and row[0] == Role.AUTHORITY for row in rows):
                    seen.append(f"registry {rows[0]}, screener {rows[1]}")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def until(cast: Cast, writes: int, seconds: float) -> None:
    """Return when that many writes were acknowledged."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while cast.acknowledged() < writes:
        assert time.monotonic() < deadline, f"{cast.acknowledged()} of {writes} writes within {seconds:g} s"
        pause.wait(0.1)


def until_they_are_gone(session: Session) -> None:
    """Return when the server works no more on what a killed writer sent."""
    alive = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name IN ('test actor', 'dualwrite test writer')"
    )
    deadline, pause = time.monotonic() + 30, threading.Event()
    while one(session, alive):
        assert time.monotonic() < deadline
        pause.wait(0.05)


def histories(directory: Path, stream: Stream, sessions: dict[Store, Session], writes: int, kills: int) -> None:
    """Let them all live, kill some, and look at what is left."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    enable(stream, TESTER)
    put(sessions[Store.SCREENER], TABLES[Store.SCREENER], [HOT], "0")
    cast = Cast(directory, dice)
    with watched() as two_authorities:
        try:
            for name in NAMES:
                cast.start(name)
            for moment in sorted(dice.sample(range(writes // 100, writes), kills)):
                until(cast, moment, 120)
                name = dice.choice(NAMES)
                cast.kill(name)
                cast.start(name)
            until(cast, writes, 120)
            cast.stop()
        finally:
            cast.end()
    assert two_authorities == []
    for session in sessions.values():
        until_they_are_gone(session)
    switch.settle(stream, TESTER)
    worker.drain(stream)
    assert outbox.pending(stream, switch.authority(stream).store).count == 0
    assert not ParkedKey.objects.exists()
    assert validate(stream).status == "passed"
    found = {store: records(session, TABLES[store]) for store, session in sessions.items()}
    assert found[Store.SCREENER] == found[Store.REGISTRY]
    cast.told().require(found[Store.REGISTRY])
    assert cast.switched() >= kills // 2


@pytest.fixture
def sessions(screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch) -> dict[Store, Session]:
    """A session of each store; nothing is braked."""
    for name, value in UNBRAKED.items():
        monkeypatch.setenv(name, value)
    return {Store.SCREENER: screener, Store.REGISTRY: registry}


def test_four_thousand_writes_and_eight_kills(
    tmp_path: Path, memberships: Stream, sessions: dict[Store, Session]
) -> None:
    histories(tmp_path, memberships, sessions, writes=4_000, kills=8)


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_two_hundred_thousand_writes_and_two_hundred_kills(
    tmp_path: Path, memberships: Stream, sessions: dict[Store, Session]
) -> None:
    histories(tmp_path, memberships, sessions, writes=200_000, kills=200)
