"""Rows, holds, definitions and a second runner that come between the export and the last batch."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dualwrite.exceptions import AlreadyRunning, DualWriteError, StoreFailed
from dualwrite.models import LegalHold, RetentionRun
from dualwrite.retention.holds import release
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from tests.integration.letters import (
    OPERATOR,
    approved,
    brought_back,
    days_ago,
    doing,
    execute,
    held_back,
    ids,
    send,
)
from tests.support import at_work, database_setting, one, until_it_waits

ACTIONS = ["delete", "archive", "mark_inactive"]


@pytest.fixture(autouse=True)
def one_session(backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")


def gone(registry: Session, action: str) -> set[int]:
    """Numbers of the first three hundred letters that are removed or marked."""
    left = ids(registry)
    if action == "mark_inactive":
        left -= {row[0] for row in registry.execute("SELECT id FROM letters WHERE NOT is_open").fetchall()}
    return set(range(1, 301)) - left


@pytest.mark.parametrize("action", ACTIONS)
def test_what_changes_after_the_export_stays_and_is_counted(letterbox: Session, action: str) -> None:
    send(letterbox, 300)
    approved(action=action)
    queries = [
        "UPDATE letters SET weight = 0 WHERE id = 7",
        "UPDATE letters SET topic = topic WHERE id = 120",
        "UPDATE letters SET sent_at = now() WHERE id = 250",
        "SELECT id FROM letters WHERE id = 251 FOR UPDATE",
    ]

    with doing("retention deleting", lambda: [letterbox.execute(query.encode()) for query in queries]):
        done = execute()

    assert gone(letterbox, action) == set(range(1, 301)) - {7, 120, 250}
    assert (done.removed, done.changed, done.held) == (297, 3, 0)
    assert execute().removed == 2, "two of them are as old as before, and go with the next run"


@pytest.mark.parametrize("action", ACTIONS)
def test_rows_younger_than_an_open_transaction_of_the_server_go_as_their_values_are_the_backups(
    letterbox: Session, screener: Session, action: str
) -> None:
    with screener.transaction():
        screener.execute("SELECT pg_current_xact_id()")  # of another database, and open all the while
        send(letterbox, 300)
        approved(action=action)

        done = execute()

    assert (done.removed, done.changed, done.held) == (300, 0, 0)
    assert gone(letterbox, action) == set(range(1, 301))


def test_what_comes_into_the_range_of_a_batch_after_the_export_stays(letterbox: Session) -> None:
    send(letterbox, 300)
    letterbox.execute("DELETE FROM letters WHERE id IN (50, 150, 250)")
    approved()
    rows = "INSERT INTO letters (id, sent_at) SELECT g, now() - interval '9 years' FROM unnest('{50,150,250}'::int[]) g"

    with doing("retention deleting", lambda: letterbox.execute(rows.encode())):
        done = execute()

    assert ids(letterbox) == {50, 150, 250}
    assert (done.removed, done.changed, done.held) == (297, 0, 0)


def test_a_writer_that_was_under_way_at_the_export_is_no_part_of_it(letterbox: Session) -> None:
    send(letterbox, 100)
    approved()
    with dedicated(Store.REGISTRY, "writer") as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO letters (id, sent_at) VALUES (5000, now() - interval '9 years')")
        writer.execute("UPDATE letters SET topic = 'mine' WHERE id = 10")
        with doing("retention deleting", lambda: writer.execute("COMMIT")):
            done = execute()

    assert ids(letterbox) == {10, 5000}
    assert (done.removed, done.changed) == (99, 1)


def test_rows_that_go_meanwhile_are_gone_and_counted_once(letterbox: Session) -> None:
    send(letterbox, 300)
    approved()

    with doing("retention batch", lambda: letterbox.execute("DELETE FROM letters WHERE id <= 150"), 2):
        done = execute()

    assert ids(letterbox) == set()
    assert (done.removed, done.changed, done.held) == (300, 0, 0)


def test_a_number_that_is_used_again_is_another_row(letterbox: Session) -> None:
    send(letterbox, 100)
    approved()

    def again() -> None:
        with letterbox.transaction():
            letterbox.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM letters WHERE id = 42")
            letterbox.execute("DELETE FROM letters WHERE id = 42")
            columns = one(
                letterbox,
                "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 'letters'::regclass"
                " AND attnum > 0 AND attgenerated = ''",
            )
            again = f"INSERT INTO letters ({columns}) SELECT {columns} FROM kept"  # noqa: S608
            letterbox.execute(again.encode())

    with doing("retention deleting", again):
        done = execute()

    assert ids(letterbox) == {42}
    assert (done.removed, done.changed) == (99, 1)


def by_function(registry: Session, value: str) -> None:
    held_back(value)


def by_sql(registry: Session, value: str) -> None:
    registry.execute(
        'INSERT INTO dualwrite_legal_hold ("table", name, value, reason, by, released_by, released_because)'
        " VALUES ('letters', %s, %s, 'court', 'lawyer', '', '')",
        ("recipient" if value else "", value),
    )


def by_changing_one(registry: Session, value: str) -> None:
    LegalHold.objects.create(table="ledgers", reason="court", by="lawyer")
    registry.execute(
        "UPDATE dualwrite_legal_hold SET \"table\" = 'letters', name = %s, value = %s",
        ("recipient" if value else "", value),
    )


def by_a_name_that_is_not_declared(registry: Session, value: str) -> None:
    registry.execute(
        'INSERT INTO dualwrite_legal_hold ("table", name, value, reason, by, released_by, released_because)'
        " VALUES ('letters', 'sender', %s, 'court', 'lawyer', '', '')",
        (value,),
    )


SOME, ALL = range(201, 301, 2), range(101, 301)


@pytest.mark.parametrize(
    ("action", "backup", "hold", "value", "stays"),
    [
        ("delete", True, by_function, "NSE:INFY", SOME),
        ("delete", True, by_function, "", ALL),
        ("delete", True, by_sql, "NSE:INFY", SOME),
        ("delete", True, by_sql, "", ALL),
        ("delete", True, by_changing_one, "NSE:INFY", SOME),
        ("delete", True, by_a_name_that_is_not_declared, "NSE:INFY", ALL),
        ("archive", True, by_sql, "NSE:INFY", SOME),
        ("archive", False, by_sql, "NSE:INFY", SOME),
        ("archive", False, by_sql, "", ALL),
        ("mark_inactive", True, by_sql, "NSE:INFY", SOME),
        ("mark_inactive", False, by_sql, "", ALL),
    ],
)
def test_what_is_held_between_two_batches_stays(
    letterbox: Session,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    backup: bool,
    hold: Callable[[Session, str], None],
    value: str,
    stays: range,
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", str(backup))
    send(letterbox, 300)
    letterbox.execute("UPDATE letters SET recipient = 'NSE:INFY' WHERE id > 200 AND id % 2 = 1")
    approved(action=action, backup=backup)

    with doing("retention batch", lambda: hold(letterbox, value), 2):
        done = execute()

    assert gone(letterbox, action) == set(range(1, 301)) - set(stays)
    assert done.removed == 300 - len(stays)
    assert done.held == (len(stays) if backup else 0)


def test_a_hold_waits_for_the_batch_under_way_and_nothing_goes_once_it_is_there(letterbox: Session) -> None:
    send(letterbox, 300)
    approved()
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(20)

    with doing("retention batch removed", wait, 2), at_work(execute) as work:
        assert reached.wait(20)
        with at_work(held_back) as holding:
            until_it_waits(letterbox, holding)
            assert not LegalHold.objects.exists(), "nobody has been told that it is held"
            go_on.set()
            holding.result(20)
        done = work.result(20)

    assert ids(letterbox) == set(range(201, 301))
    assert (done.removed, done.held) == (200, 100)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_batch_that_waited_for_a_hold_obeys_it_whatever_isolation_the_database_has(
    letterbox: Session, isolation: str
) -> None:
    send(letterbox, 100)
    approved()
    with (
        database_setting(letterbox, "default_transaction_isolation", isolation),
        dedicated(Store.REGISTRY, "lawyer") as lawyer,
        doing("retention batch", lambda: by_sql(lawyer, "")),
    ):
        lawyer.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        with at_work(execute) as work:
            until_it_waits(letterbox, work)
            lawyer.execute("COMMIT")
            done = work.result(20)
    assert len(ids(letterbox)) == 100
    assert (done.removed, done.held) == (0, 100)


def test_a_hold_that_is_released_meanwhile_lets_nothing_go_that_no_backup_has(letterbox: Session) -> None:
    send(letterbox, 110)
    letterbox.execute("UPDATE letters SET recipient = 'held' WHERE id % 11 = 0")
    hold = held_back("held")
    approved()

    with doing("retention deleting", lambda: LegalHold.objects.filter(pk=hold.pk).update(released_at=days_ago(0))):
        done = execute()

    assert ids(letterbox) == set(range(11, 111, 11))
    assert (done.removed, done.changed, done.held) == (100, 0, 0)
    assert execute().removed == 10


@pytest.mark.parametrize("place", ["retention planned", "retention exported", "retention batch removed"])
def test_of_two_runners_one_runs_and_the_other_is_told_which(letterbox: Session, place: str) -> None:
    send(letterbox, 300)
    approved()
    approved("others", date="read")
    said: list[str] = []

    def second() -> None:
        for name in ("letters", "others"):
            with pytest.raises(AlreadyRunning) as raised:
                execute(name)
            said.append(str(raised.value))
        with pytest.raises(AlreadyRunning):
            brought_back(RetentionRun.objects.get(pk=made.pk))

    made = execute("others")
    made.backup = None
    send(letterbox, 1)
    letterbox.execute("UPDATE letters SET read_at = now() - interval '9 years' WHERE id = 301")
    made = execute("others")

    def in_a_thread() -> None:
        with at_work(second) as work:
            work.result(20)

    with doing(place, in_a_thread):
        done = execute()

    assert (done.removed, ids(letterbox)) == (300, set())
    number = RetentionRun.objects.filter(policy="letters").latest("id").pk
    assert len(said) == 2
    assert all(f"retention of table letters: run {number}" in text for text in said)
    assert RetentionRun.objects.filter(policy="letters", dry_run=False).count() == 1


CHANGES = {
    "a column more": "ALTER TABLE letters ADD COLUMN secret text DEFAULT 'new'",
    "a column less": "ALTER TABLE letters DROP COLUMN grid",
    "another type": "ALTER TABLE letters ALTER COLUMN copies TYPE bigint",
    "another name": "ALTER TABLE letters RENAME COLUMN code TO cipher",
    "no key": "ALTER TABLE letters DROP CONSTRAINT letters_pkey",
    "a cascade": "CREATE TABLE stamps (letter bigint REFERENCES letters ON DELETE CASCADE);"
    "INSERT INTO stamps SELECT id FROM letters",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("action", "backup"), [("delete", True), ("archive", True), ("archive", False)])
def test_a_table_that_is_changed_between_two_batches_loses_nothing_more(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch, change: str, action: str, backup: bool
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", str(backup))
    send(letterbox, 300)
    approved(action=action, backup=backup)
    try:
        with (
            doing("retention batch", lambda: letterbox.execute(CHANGES[change].encode()), 2),
            pytest.raises(DualWriteError) as raised,
        ):
            execute()

        assert len(str(raised.value).splitlines()) == 1
        assert ids(letterbox) == set(range(101, 301))
    finally:
        letterbox.execute("DROP TABLE IF EXISTS stamps")


def test_an_archive_that_does_not_take_a_row_keeps_it_where_it_is(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", "false")
    send(letterbox, 300)
    letterbox.execute(
        "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER drop_it BEFORE INSERT ON letters_archive FOR EACH ROW WHEN (NEW.id = 150)"
        " EXECUTE FUNCTION drop_it()"
    )
    approved(action="archive", backup=False)
    try:
        with pytest.raises(StoreFailed, match="99 of 100 rows"):
            execute()
    finally:
        letterbox.execute("DROP FUNCTION drop_it CASCADE")

    assert ids(letterbox) == set(range(101, 301))
    assert ids(letterbox, "letters_archive") == set(range(1, 101))


def test_a_hold_ends_at_its_time_and_not_before(letterbox: Session) -> None:
    send(letterbox, 10, recipient="past")
    send(letterbox, 10, recipient="future")
    send(letterbox, 10, recipient="released")
    LegalHold.objects.create(
        table="letters", name="recipient", value="past", reason="it was", by="anna", until=days_ago(0.001)
    )
    held_back("future", until=days_ago(-0.1))
    release(held_back("released").pk, OPERATOR)
    approved()

    assert execute().removed == 20
    assert ids(letterbox) == set(range(11, 21))


def test_rows_that_the_server_would_not_take_back_are_not_removed(letterbox: Session) -> None:
    send(letterbox, 300)
    letterbox.execute(
        "CREATE DOMAIN small AS integer; ALTER TABLE letters ALTER copies TYPE small;"
        "ALTER DOMAIN small ADD CONSTRAINT is_small CHECK (VALUE <> 42) NOT VALID"
    )
    approved()
    try:
        with pytest.raises(DualWriteError, match="is_small") as raised:
            execute()
        assert len(str(raised.value).splitlines()) == 1
        assert len(ids(letterbox)) == 300
    finally:
        letterbox.execute("DROP DOMAIN small CASCADE")
