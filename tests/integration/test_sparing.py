"""A mirror with much else to do: a backfill waits, writes go slowly, and status says why."""

from collections.abc import Iterator

import pytest

from dualwrite.control import status
from dualwrite.control.backfill import backfill
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration.moving import eventually
from tests.support import add, at_work, enabled, fill, mirrored, one, opened


@pytest.fixture
def busy(stores: None, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """More sessions at work in the mirror than its limit, for as long as the test takes."""
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_MIRROR_MAX_SESSIONS", "1")
    with dedicated(Store.REGISTRY, "x") as first, dedicated(Store.REGISTRY, "x") as second:
        for session in (first, second):
            session.execute("SET application_name = 'somebody else'")
        with at_work(lambda: _sleep(first)), at_work(lambda: _sleep(second)):
            try:
                eventually(lambda: _others() == 2, seconds=10)
                yield
            finally:
                for session in (first, second):
                    session.cancel()


def _sleep(session: Session) -> None:
    with pytest.raises(Exception, match="canceling statement"):
        session.execute("SELECT pg_sleep(600)")


def _others() -> int:
    with cursor(Store.REGISTRY) as found:
        found.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'somebody else' AND state = 'active'"
            " AND datname = current_database()"
        )
        return int(found.fetchone()[0])


@pytest.mark.usefixtures("busy")
def test_a_backfill_waits_while_a_write_arrives_and_status_says_why(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 50)
    worker.drain(memberships)
    backfill(memberships, TESTER)
    with opened(memberships) as pipe:
        assert pipe.check()
        assert pipe.spared == "2 sessions are at work in the registry store; the limit is 1"
        add(screener, "WRITTEN", weight=7)
        assert pipe.move().spared == pipe.spared
        assert mirrored(registry)["NSE:WRITTEN"] == 7
        assert pipe.move().keys == 0
    assert one(screener, "SELECT count(*) FROM dualwrite.waiting WHERE cause = 'b'") == 50
    gates = {gate["gate"]: gate["why"] for gate in status.stream_status(memberships)["blocked_by"]}
    assert gates["load"] == "it is relayed slowly, and a backfill waits: " + (
        "2 sessions are at work in the registry store; the limit is 1"
    )


def test_the_backfill_goes_on_when_the_load_has_gone(
    busy: None, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, 50)
    worker.drain(memberships)
    backfill(memberships, TESTER)
    with opened(memberships) as pipe:
        assert pipe.check()
        assert pipe.move().keys == 0
        monkeypatch.setenv("INSTRUMENT_REGISTRY_MIRROR_MAX_SESSIONS", "2")
        assert pipe.check()
        assert pipe.move().keys == 50
