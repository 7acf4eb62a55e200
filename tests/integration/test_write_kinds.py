"""Every kind of write is noted and relayed rightly: before a switch, after it and after the switch back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from django.db import DatabaseError, connections
from psycopg import errors
from psycopg_pool import ConnectionPool

from dualwrite import outbox, router
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import NotAuthority
from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream, stream_named
from dualwrite.testing import reset_stores
from tests.conftest import TESTER, url_of
from tests.integration.write_kinds import KINDS, pooled
from tests.support import column, enabled
from tests.writing import INDEX, TABLES, Effect, put, records

BEFORE = {"A": "before", "B": "before", "C": "before"}
UNIQUE = "CREATE UNIQUE INDEX IF NOT EXISTS one_row_a_key ON index_memberships (symbol, exchange, index_name)"
#: A program of its own tells it on its standard error, which is what the kind finds wrong.
REFUSALS = (psycopg.Error, DatabaseError, NotAuthority, AssertionError)
TOLD = re.compile(r"takes its writes|write stream index_memberships in the (screener|registry) store")


@dataclass(frozen=True)
class Period:
    """A time between two switches: the authority, a session of each store, and pools opened before all switches."""

    stream: Stream
    authority: Store
    sessions: dict[Store, Session]
    pools: dict[Store, "ConnectionPool[Session]"]


@pytest.fixture(scope="module", params=[0, 1, 2], ids=["before a switch", "after it", "after the switch back"])
def period_of_all(request: pytest.FixtureRequest, databases: None) -> Iterator[Period]:
    """Each of the periods, begun once for all tests; the old table has a unique index, as the registry's has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", "true")
        patch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "1000000")
        reset_stores()
        stream = stream_named("index_memberships")
        sessions = {store: dedicated(store, "test") for store in Store}
        pools = {store: pool(store) for store in Store}
        sessions[Store.SCREENER].execute(UNIQUE)
        enabled(stream)
        authority = Store.SCREENER
        for _ in range(request.param):
            authority = authority.peer
            hand_over(stream, authority, TESTER)
        yield Period(stream, authority, sessions, pools)
        sessions[Store.SCREENER].execute("DROP INDEX one_row_a_key")
        for store in Store:
            pools[store].close()
            sessions[store].close()
            connections[store.alias].close()


def pool(store: Store) -> "ConnectionPool[Session]":
    """A pool that has opened its connections."""
    kwargs = {"autocommit": True, "options": "-c search_path=instrument_registry,public"}
    opened: ConnectionPool[Session] = ConnectionPool(url_of(store), min_size=2, max_size=2, kwargs=kwargs, open=True)
    opened.wait()
    return opened


@pytest.fixture
def period(period_of_all: Period) -> Period:
    """The period, with A, B and C there and nothing waiting."""
    router.forget_roles()
    if found(period_of_all) == dict.fromkeys(Store, BEFORE):
        return period_of_all
    session = period_of_all.sessions[period_of_all.authority]
    session.execute("DELETE FROM index_memberships")
    put(session, TABLES[period_of_all.authority], list(BEFORE), "before")
    worker.drain(period_of_all.stream)
    return period_of_all


def found(period: Period) -> dict[Store, dict[str, str]]:
    """What each store holds."""
    return {store: records(session, TABLES[store]) for store, session in period.sessions.items()}


def require_relayed(period: Period, effect: Effect) -> None:
    """The keys were noted, and both stores are what the write made of them."""
    noted = set(column(period.sessions[period.authority], "SELECT key FROM dualwrite.waiting"))
    assert noted >= {f'["NSE:{symbol}","{INDEX}"]' for symbol in effect}
    worker.drain(period.stream)
    require_both(period, {**BEFORE, **effect})
    assert outbox.pending(period.stream, period.authority).count == 0


def require_both(period: Period, after: Effect) -> None:
    """Both stores are this, and nothing was parked."""
    left = {symbol: sector for symbol, sector in after.items() if sector is not None}
    assert found(period) == dict.fromkeys(Store, left)
    assert not ParkedKey.objects.exists()


@pytest.mark.parametrize("name", KINDS)
def test_it_is_noted_and_relayed(period: Period, name: str) -> None:
    here = period.authority
    require_relayed(period, KINDS[name](period.sessions[here], TABLES[here], "written"))


@pytest.mark.parametrize("name", KINDS)
def test_it_is_refused_by_the_mirror(period: Period, name: str) -> None:
    there = period.authority.peer
    with pytest.raises(REFUSALS, match=TOLD):
        KINDS[name](period.sessions[there], TABLES[there], "wrong")
    require_both(period, BEFORE)


def test_a_pools_connections_live_through_switches(period: Period) -> None:
    here = period.authority
    with pytest.raises(errors.DatabaseError, match="takes its writes"):
        pooled(period.pools[here.peer], TABLES[here.peer], "wrong")
    require_relayed(period, pooled(period.pools[here], TABLES[here], "pooled"))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_truncate_is_refused_under_an_old_snapshot(period: Period, level: str) -> None:
    session = period.sessions[period.authority]
    with session.transaction(force_rollback=True):
        session.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        with pytest.raises(errors.DatabaseError, match="only under READ COMMITTED"):
            session.execute("TRUNCATE index_memberships")
    require_relayed(period, {})


@pytest.mark.parametrize("name", ["put", "merge", "delete", "upsert", "copy"])
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_with_a_snapshot_of_its_own_period_it_is_relayed_as_well(period: Period, level: str, name: str) -> None:
    here = period.authority
    session = period.sessions[here]
    session.execute("SELECT set_config('default_transaction_isolation', %s, false)", (level,))
    try:
        effect = KINDS[name](session, TABLES[here], "written")
    finally:
        session.execute("RESET default_transaction_isolation")
    require_relayed(period, effect)
