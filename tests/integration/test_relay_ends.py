"""A batch whose records are refused is tried record by record, which takes long: it is left when somebody waits."""

import logging
import threading
from collections.abc import Iterator

import pytest

from dualwrite import failpoints
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.relay.pipe import Moved, open_pipe
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.integration.test_parking import refusing
from tests.support import add, at_work, enabled, mirrored, noted

KEYS = 200


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    failpoints.clear()


@pytest.fixture
def refused(screener: Session, registry: Session, memberships: Stream) -> Iterator[Stream]:
    """As many keys as fill a batch, all of which the mirror refuses but one."""
    enabled(memberships)
    with refusing(registry):
        for number in range(KEYS):
            add(screener, f"S{number}", sector="bad" if number else "good")
        yield memberships


def test_a_relay_that_is_told_to_stop_leaves_it_and_every_key_is_noted_still(
    refused: Stream, screener: Session, registry: Session
) -> None:
    stop, reads = threading.Event(), []

    def read() -> None:
        reads.append(1)
        if len(reads) == 3:
            stop.set()

    failpoints.at("relay read", read)
    worker.run([refused], stop)
    assert len(reads) == 3
    assert len(noted(screener)) == KEYS
    assert not ParkedKey.objects.exists()
    assert worker.drain(refused) == Moved(keys=KEYS, parked=KEYS - 1)
    assert set(mirrored(registry)) == {"NSE:S0"}


def test_a_relay_gives_way_in_the_middle_of_it(refused: Stream, caplog: pytest.LogCaptureFixture) -> None:
    reading, stop, pause = threading.Event(), threading.Event(), threading.Event()

    def read() -> None:
        reading.set()
        pause.wait(0.2)

    failpoints.at("relay read", read)
    with caplog.at_level(logging.INFO), at_work(lambda: worker.run([refused], stop)):
        try:
            assert reading.wait(30)
            with open_pipe(refused, insist=True) or pytest.fail("nothing is mirrored"):
                assert "giving way to a switch" in caplog.text
                assert "does not give way" not in caplog.text
        finally:
            failpoints.clear()
            stop.set()
    assert not ParkedKey.objects.exists()
