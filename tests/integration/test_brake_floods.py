"""What an operator confirmed ends where it was confirmed, and a flood is one flood however long it takes."""

import pytest

from dualwrite.control.pause import resume
from dualwrite.exceptions import Held
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import enabled, fill, mirrored, noted


@pytest.fixture(autouse=True)
def two_hundred_rows(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 rows mirrored, then moved 20 a batch."""
    enabled(memberships)
    fill(screener, 200)
    worker.drain(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "20")


def test_deletes_noted_after_the_confirmation_are_held_although_the_relay_was_never_idle(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    screener.execute("DELETE FROM index_memberships WHERE id <= 100")
    with pytest.raises(Held):
        worker.drain(memberships)
    assert resume(memberships, TESTER, force=True)
    assert noted(screener)
    screener.execute("DELETE FROM index_memberships")
    with pytest.raises(Held, match="would delete more than 50 rows"):
        worker.drain(memberships)
    # Partitions take turns, so a batch of some has new notes only while others still have confirmed ones.
    assert len(mirrored(registry)) >= 30, "beside what was confirmed, no more is deleted than is always allowed"
    assert resume(memberships, TESTER, force=True)
    worker.drain(memberships)
    assert mirrored(registry) == {}


def test_a_flood_that_takes_longer_than_the_window_is_held(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    screener.execute("DELETE FROM index_memberships")

    def longer_than_the_window(done: int) -> None:
        registry.execute("UPDATE dualwrite_stream SET brake_since = brake_since - interval '61 s'")

    with pytest.raises(Held, match="would delete more than 50 rows"):
        worker.drain(memberships, longer_than_the_window)
    assert 150 <= len(mirrored(registry)) < 200
