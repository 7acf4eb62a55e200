"""Large transactions in every period, and transactions that are older than a switch."""

import pytest
from psycopg import errors

from dualwrite import switch
from dualwrite.control.handover import hand_over
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import enabled
from tests.writing import TABLES, delete, put, records

ROWS = 50_000


@pytest.fixture
def sessions(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> dict[Store, Session]:
    """A session of each store; the stream is enabled, and the relay is not braked."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000000")
    enabled(memberships)
    return {Store.SCREENER: screener, Store.REGISTRY: registry}


def require_both(sessions: dict[Store, Session], after: dict[str, str]) -> None:
    """Both stores are this."""
    assert {s: records(session, TABLES[s]) for s, session in sessions.items()} == dict.fromkeys(Store, after)


def test_fifty_thousand_rows_in_one_transaction_before_a_switch_after_it_and_after_the_switch_back(
    memberships: Stream, sessions: dict[Store, Session]
) -> None:
    """They are inserted, changed and deleted, each in another period."""
    many = [f"S{number}" for number in range(ROWS)]
    for store, write, sector in (
        (Store.SCREENER, put, "inserted"),
        (Store.REGISTRY, put, "changed"),
        (Store.SCREENER, delete, ""),
    ):
        if switch.authority(memberships).store is not store:
            hand_over(memberships, store, TESTER)
        with sessions[store].transaction():
            write(sessions[store], TABLES[store], many, sector)
        assert worker.drain(memberships).keys == ROWS
        require_both(sessions, dict.fromkeys(many, sector) if sector else {})


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("switches", [1, 2])
@pytest.mark.parametrize("store", Store)
def test_a_snapshot_older_than_a_switch_writes_nowhere(
    memberships: Stream, sessions: dict[Store, Session], level: str, switches: int, store: Store
) -> None:
    """Whether the store it was taken in has lost the authority since, got it, or lost and got it again."""
    with dedicated(store, "test old snapshot") as writer:
        writer.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
        writer.execute("SELECT count(*) FROM index_memberships")  # the snapshot is taken here
        for _ in range(switches):
            hand_over(memberships, switch.authority(memberships).store.peer, TESTER)
        with pytest.raises(errors.SerializationFailure):
            put(writer, TABLES[store], ["A"], "old")
    here = switch.authority(memberships).store
    put(sessions[here], TABLES[here], ["A"], "new")
    worker.drain(memberships)
    require_both(sessions, {"A": "new"})
