"""A store that is not the authority takes no write, and the answer names the store that does."""

import threading

import psycopg
import pytest

from dualwrite import switch
from dualwrite.exceptions import AuthorityUnknown, ConcurrentChange, NotAuthority, Refused
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import locks
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership
from tests.conftest import TESTER
from tests.support import add, mirrored, one

WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
INTO_REGISTRY = "INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:A', 'NIFTY 50')"


def set_role(session: Session, role: str) -> None:
    session.execute("UPDATE dualwrite.stream_state SET role = %s WHERE stream = 'index_memberships'", (role,))


@pytest.mark.parametrize("role", ["mirror", "detached"])
def test_a_raw_write_to_the_registry_names_the_store_that_takes_it(registry: Session, role: str) -> None:
    set_role(registry, role)
    with pytest.raises(psycopg.Error, match="the screener store takes its writes, this one") as caught:
        registry.execute(INTO_REGISTRY)
    assert caught.value.sqlstate == "DW001"


def test_in_the_middle_of_a_switch_nobody_writes(screener: Session) -> None:
    set_role(screener, "fenced")
    with pytest.raises(psycopg.Error, match="a switch between the stores is under way"):
        add(screener, "A")


def test_a_store_that_does_not_know_its_role_refuses_writes(screener: Session) -> None:
    screener.execute("DELETE FROM dualwrite.stream_state")
    with pytest.raises(psycopg.Error, match="it is not known which store takes its writes"):
        add(screener, "A")


@pytest.mark.parametrize("statement", ["TRUNCATE index_memberships", "DELETE FROM index_memberships"])
def test_the_mirror_cannot_be_emptied_by_hand(registry: Session, statement: str) -> None:
    with pytest.raises(psycopg.Error, match="takes its writes"):
        registry.execute(statement)


def test_the_relays_marker_opens_one_stream_at_one_epoch_only(registry: Session) -> None:
    set_role(registry, "mirror")
    for marker in ("instruments:0", "index_memberships:1", "index_memberships"):
        with registry.transaction(force_rollback=True):
            registry.execute("SELECT set_config('dualwrite.relay', %s, true)", (marker,))
            with pytest.raises(psycopg.Error, match="takes its writes"):
                registry.execute(INTO_REGISTRY)
    with registry.transaction():
        registry.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
        registry.execute(INTO_REGISTRY)
    with pytest.raises(psycopg.Error, match="takes its writes"):
        registry.execute("DELETE FROM index_memberships")  # the marker ended with its transaction
    assert mirrored(registry) == {"NSE:A": None}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_older_than_a_change_of_role_cannot_write(stores: None, screener: Session, level: str) -> None:
    with dedicated(Store.SCREENER, "old snapshot") as writer:
        writer.execute(f"BEGIN ISOLATION LEVEL {level}")
        writer.execute("SELECT count(*) FROM index_memberships")  # the snapshot is taken here
        set_role(screener, "fenced")
        set_role(screener, "authority")  # back again: the row changed all the same
        with pytest.raises(psycopg.errors.SerializationFailure):
            add(writer, "A")


def test_a_write_that_waited_for_a_switch_sees_the_new_role(screener: Session, memberships: Stream) -> None:
    waiting = threading.Event()
    outcome: list[str] = []

    def write() -> None:
        with dedicated(Store.SCREENER, "waiting writer") as writer:
            waiting.set()
            try:
                add(writer, "A")
            except psycopg.Error as exc:
                outcome.append(str(exc.sqlstate))

    with screener.transaction():
        screener.execute("SELECT pg_advisory_xact_lock(25719, hashtext('index_memberships'))")
        thread = threading.Thread(target=write)
        thread.start()
        waiting.wait()
        with dedicated(Store.SCREENER, "observer") as observer:
            while not one(observer, WAITING):
                assert thread.is_alive()
        set_role(screener, "fenced")
    thread.join(10)
    assert outcome == ["DW001"], "its statement began before the switch, its snapshot must not"


def test_capture_waits_for_open_writers_and_names_one_that_does_not_end(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "DEADLINE_SECONDS", 0.1)
    with screener.transaction():
        add(screener, "A")
        with pytest.raises(Refused, match=r"a writer does not finish \(process \d+, role .*'dualwrite test'"):
            switch.begin_capture(memberships, Store.SCREENER, TESTER)
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    assert generation == 1


def test_only_the_authority_can_begin_to_capture(stores: None, memberships: Stream) -> None:
    with pytest.raises(ConcurrentChange, match="registry is no longer the authority"):
        switch.begin_capture(memberships, Store.REGISTRY, TESTER)


def test_the_authority_never_becomes_a_mirror_by_enabling(stores: None, memberships: Stream) -> None:
    with pytest.raises(ConcurrentChange, match="screener cannot become the mirror"):
        switch.follow(memberships, Store.SCREENER, 0, TESTER)
    assert switch.state(memberships, Store.SCREENER).role is Role.AUTHORITY


@pytest.mark.parametrize("roles", [("authority", "authority"), ("mirror", "mirror"), ("fenced", "fenced")])
def test_none_or_two_authorities_are_no_authority(
    screener: Session, registry: Session, memberships: Stream, roles: tuple[str, str]
) -> None:
    set_role(screener, roles[0])
    set_role(registry, roles[1])
    with pytest.raises(AuthorityUnknown, match=f"screener is {roles[0]}, registry is {roles[1]}"):
        switch.authority(memberships)


def test_the_router_says_early_where_a_model_is_written(stores: None) -> None:
    with pytest.raises(NotAuthority, match="in the screener store, not in the registry store"):
        IndexMembership(instrument_key="NSE:A", index_id="X").save()
    ScreenerIndexMembership(symbol="A", exchange="NSE", index_name="X").save()
    assert ScreenerIndexMembership.objects.count() == 1


def test_the_audit_only_grows(screener: Session, memberships: Stream) -> None:
    switch.begin_capture(memberships, Store.SCREENER, TESTER)
    row = screener.execute("SELECT actor, verb, reason, before, after FROM dualwrite.audit").fetchone()
    assert row is not None
    assert row[:3] == ("test", "begin capture", "a test")
    assert (row[3]["generation"], row[4]["generation"]) == (0, 1)
    for statement in (
        "DELETE FROM dualwrite.audit",
        "UPDATE dualwrite.audit SET actor = ''",
        "TRUNCATE dualwrite.audit",
    ):
        with pytest.raises(psycopg.Error, match="append-only"):
            screener.execute(statement)
