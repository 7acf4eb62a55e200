"""Whoever writes spells while versions are archived, or taken back, sees each of them exactly once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import ExclusionViolation, SerializationFailure

from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from registry.importing import import_file
from tests.integration.archiving import ENDED, MOVE, TAKE_BACK, archive
from tests.integration.domain import sql
from tests.integration.test_spells import HISTORY, add, current
from tests.support import at_work, until_it_waits

OLD = HISTORY + "('NSE:A', 'I', '[2000-01-01,2010-01-01)', now(), 'file')"
OVERLAPPING = HISTORY + "('NSE:A', 'I', '[2005-01-01,2006-01-01)', now(), 'file')"
ARCHIVE = MOVE.format(ENDED).encode()


@pytest.fixture
def archiver(stores: None) -> Iterator[Session]:
    """A session that archives."""
    with dedicated(Store.REGISTRY, "archiver") as session:
        yield session


@pytest.fixture
def observer(stores: None) -> Iterator[Session]:
    """A session outside of every transaction: within one, what others do is seen once."""
    with dedicated(Store.REGISTRY, "observer") as session:
        yield session


@pytest.fixture
def writer(registry: Session) -> Session:
    """A registry that takes memberships, and a session that writes to it."""
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority'")
    return registry


@contextmanager
def snapshot_of(session: Session) -> Iterator[None]:
    """A transaction that sees the database as it is now."""
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with session.transaction():
        session.execute("SELECT 1 FROM index_membership_history")
        yield


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("move", ["archive", "restore"])
def test_an_overlapping_insert_waits_for_whoever_moves_the_spell_and_is_refused(
    end: str, move: str, archiver: Session, writer: Session, observer: Session
) -> None:
    sql(OLD)
    if move == "restore":
        archive()
    archiver.execute("BEGIN")
    archiver.execute(ARCHIVE if move == "archive" else TAKE_BACK.encode())
    with at_work(lambda: writer.execute(OVERLAPPING.encode())) as work:
        until_it_waits(observer, work)
        archiver.execute(end.encode())
        with pytest.raises(ExclusionViolation):
            work.result()
    assert sql("SELECT count(*) FROM index_membership_history_all") == [(1,)]


@pytest.mark.parametrize("seen", [True, False])
def test_a_writer_of_an_older_snapshot_is_told_to_try_again(seen: bool, archiver: Session, writer: Session) -> None:
    if seen:
        sql(OLD)
    with snapshot_of(writer):
        if not seen:
            sql(OLD)
        archiver.execute(ARCHIVE)
        with pytest.raises(SerializationFailure, match="archived since"):
            writer.execute(OVERLAPPING.encode())
    with pytest.raises(ExclusionViolation, match="overlaps the archived"), snapshot_of(writer):
        writer.execute(OVERLAPPING.encode())
    with snapshot_of(writer):
        writer.execute(b"INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:A', 'I')")
    assert current() == ["[today,)"]
    assert sql("SELECT count(*) FROM index_membership_history_archive") == [(1,)], "what was tried is taken back"


def test_a_membership_neither_waits_for_the_archiving_of_its_spell_nor_fails_for_it(
    archiver: Session, writer: Session
) -> None:
    sql(OLD)
    archiver.execute("BEGIN")
    archiver.execute(ARCHIVE)
    add("2005-01-01")
    assert current() == ["[2000-01-01,2010-01-01)", "[2010-01-01,)"]
    archiver.execute("COMMIT")
    assert current() == ["[2010-01-01,)"]


def test_an_import_waits_for_an_archiver_and_knows_what_it_moved(
    archiver: Session, observer: Session, tmp_path: Path
) -> None:
    file = tmp_path / "file.csv"
    file.write_text("symbol,opt_in,opt_out\nA,2000-01-01,2010-01-01\n")
    sql(OLD.replace("'I'", "'DAX'").replace("NSE:", "ETR:"))
    archiver.execute("BEGIN")
    archiver.execute(ARCHIVE)
    with at_work(lambda: import_file(file, index="DAX", rejects=tmp_path / "rejects")) as work:
        until_it_waits(observer, work)
        archiver.execute("COMMIT")
        assert work.result().unchanged == 1
