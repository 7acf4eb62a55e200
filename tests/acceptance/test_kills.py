"""Relays are killed while the old table is written; what is left converges when one is started again."""

import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dualwrite import outbox
from dualwrite.control.enable import enable
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.process import start
from tests.support import fill, one

KILLS = 5
WRITERS = 2


def scribble(seed: int, stop: threading.Event, done: list[int]) -> None:
    """Writes of all kinds to the old table until told to stop."""
    dice = random.Random(seed)
    with dedicated(Store.SCREENER, f"writer {seed}") as session:
        while not stop.is_set():
            symbol, kind = f"W{seed}-{dice.randrange(200)}", dice.random()
            if kind < 0.3:
                session.execute("DELETE FROM index_memberships WHERE symbol = %s", (symbol,))
            elif kind < 0.6:
                session.execute(
                    "UPDATE index_memberships SET weight = %s WHERE symbol = %s",
                    (dice.randrange(100), symbol),
                )
            else:
                session.execute(
                    "INSERT INTO index_memberships (symbol, exchange, index_name, weight) SELECT %s, 'NSE', 'X', %s"
                    " WHERE NOT EXISTS (SELECT FROM index_memberships WHERE symbol = %s)",
                    (symbol, dice.randrange(100), symbol),
                )
            done.append(1)


@contextmanager
def killed_at_the_end(*arguments: str, **changes: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of the product that gets SIGKILL when the block is left."""
    process = start(*arguments, **changes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("relays", [1, pytest.param(2, marks=pytest.mark.deep), 4])
def test_killed_relays_lose_nothing(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, relays: int
) -> None:
    """Of a fleet one is killed at a time, while the others go on; small batches, so that some are read ahead."""
    enable(memberships, TESTER)
    settings = {"INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS": "1000000", "INSTRUMENT_REGISTRY_BATCH_SIZE": "20"}
    stop, done = threading.Event(), list[int]()
    writers = [threading.Thread(target=scribble, args=(seed, stop, done)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        with ExitStack() as others:
            for _ in range(relays - 1):
                others.enter_context(killed_at_the_end("relay", **settings))
            for _ in range(KILLS):
                with killed_at_the_end("relay", **settings):
                    _wait_until_it_relays(memberships)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert len(done) > 100
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000000")
    worker.drain(memberships)
    run = validate(memberships)
    assert (run.status, run.differences) == ("passed", [])
    assert one(screener, "SELECT count(*) FROM index_memberships") == run.mirror_rows


def test_a_terminated_relay_finishes_its_batch_and_says_nothing(screener: Session, memberships: Stream) -> None:
    enable(memberships, TESTER)
    fill(screener, 3000)
    with killed_at_the_end("relay", INSTRUMENT_REGISTRY_BATCH_SIZE="50") as relay:
        _wait_until_it_relays(memberships)
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(20) == 0
    worker.drain(memberships)
    assert validate(memberships).status == "passed"


def _wait_until_it_relays(stream: Stream) -> None:
    """Until another process has applied something, seen by the mirror's own count."""
    with dedicated(Store.REGISTRY, "observer") as registry:
        query = "SELECT sum(applied) FROM dualwrite.relay_fence WHERE stream = %s"
        before = one(registry, query, stream.name)
        deadline = threading.Event()
        for _ in range(400):
            if one(registry, query, stream.name) > before:
                return
            deadline.wait(0.05)
    waiting = outbox.pending(stream, Store.SCREENER)
    raise AssertionError(f"no relay within 20 s; {waiting}")
