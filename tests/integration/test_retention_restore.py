"""Rows come back: those that are asked for, and only where nothing is lost by it."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dualwrite.exceptions import DualWriteError, UnknownName, UsageError
from dualwrite.models import RestoreRun, RetentionPolicy, RetentionRun
from dualwrite.retention import subject
from dualwrite.retention.exceptions import InvalidPolicy, RestoreRefused, TableChanged
from dualwrite.retention.restore import Asked, Conflict, restore
from dualwrite.retention.subject import Action
from dualwrite.stores import Session
from tests.integration.letters import (
    LETTERS,
    OPERATOR,
    approved,
    brought_back,
    copied,
    doing,
    execute,
    held_back,
    ids,
    send,
    texts,
)
from tests.support import one

FAIL, SKIP, OVERWRITE = Conflict.FAIL, Conflict.SKIP, Conflict.OVERWRITE
DAY = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def sent(letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Thirty letters of thirty days from the first day on, to three recipients; three parts of two batches."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "10")
    letterbox.execute(
        "INSERT INTO letters (sent_at, recipient) SELECT '2001-01-01'::timestamptz + make_interval(days => g - 1),"
        " 'R' || g % 3 FROM generate_series(1, 30) AS g"
    )
    return letterbox


@pytest.fixture
def removed(sent: Session) -> RetentionRun:
    """The run that removed them all."""
    approved(batch_size=5)
    return execute()


def days(first: float, last: float) -> dict[str, dt.datetime]:
    return {"since": DAY + dt.timedelta(days=first - 1), "until": DAY + dt.timedelta(days=last - 1)}


ASKED: list[tuple[dict[str, Any], Iterable[int]]] = [
    ({}, range(1, 31)),
    ({"part": 1}, range(1, 11)),
    ({"part": 3}, range(21, 31)),
    ({"keys": ("7",)}, [7]),
    ({"keys": ("7", "30", "31", "x", "")}, [7, 30]),
    ({"keys": ("R1",)}, range(1, 31, 3)),
    ({"keys": ("R1", "3")}, [*range(1, 31, 3), 3]),
    ({"keys": ("R1",), "part": 2}, [13, 16, 19]),
    (days(5, 8), [5, 6, 7]),
    (days(5, 5), []),
    (days(4.5, 5.5), [5]),
    ({"since": days(28, 0)["since"]}, [28, 29, 30]),
    ({"until": days(0, 3)["until"]}, [1, 2]),
    ({**days(1, 11), "part": 1, "keys": ("R0",)}, [3, 6, 9]),
    ({"keys": ("7'; DROP TABLE letters; --",)}, []),
]


def test_the_rows_that_are_asked_for_come_back(sent: Session, removed: RetentionRun) -> None:
    for asked, numbers in ASKED:
        back = set(numbers)
        told = brought_back(removed, dry_run=True, **asked)
        assert (told.status, told.found, told.restored, ids(sent)) == ("planned", len(back), len(back), set()), asked

        done = brought_back(removed, **asked)

        assert (done.status, done.found, done.restored, done.skipped) == ("complete", len(back), len(back), 0)
        assert ids(sent) == back, asked
        sent.execute("DELETE FROM letters")


def test_rows_that_are_there_stop_it_or_stay_or_become_as_they_were(sent: Session) -> None:
    before = texts(sent)
    approved(batch_size=5)
    removed = execute()
    sent.execute("INSERT INTO letters (id, topic) OVERRIDING SYSTEM VALUE VALUES (7, 'mine'), (99, 'new')")
    mine = texts(sent)

    with pytest.raises(RestoreRefused, match="1 of 30 rows are in the table"):
        brought_back(removed)
    assert texts(sent) == mine
    brought_back(removed, FAIL, keys=("8",))
    assert set(texts(sent)) == {7, 8, 99}

    skipped = brought_back(removed, SKIP)
    assert (skipped.restored, skipped.skipped, skipped.overwritten) == (28, 2, 0)
    assert texts(sent) == {**before, **mine}

    again = brought_back(removed, SKIP)
    assert (again.restored, again.skipped, again.overwritten) == (0, 30, 0)
    overwritten = brought_back(removed, OVERWRITE)
    assert (overwritten.restored, overwritten.skipped, overwritten.overwritten) == (0, 0, 30)
    assert texts(sent) == {**before, 99: mine[99]}
    with pytest.raises(RestoreRefused):
        brought_back(removed)


def test_a_key_that_the_server_gives_is_restored_all_the_same(sent: Session) -> None:
    sent.execute("ALTER TABLE letters ALTER id SET GENERATED ALWAYS")
    before = copied(sent)
    approved()
    removed = execute()
    brought_back(removed)
    assert copied(sent) == before
    sent.execute("UPDATE letters SET topic = 'other'")
    brought_back(removed, OVERWRITE)
    assert copied(sent) == before


CHANGES = {
    "ALTER TABLE letters DROP grid": "otherwise: grid",
    "ALTER TABLE letters ALTER copies TYPE bigint": "otherwise: copies",
    "ALTER TABLE letters RENAME topic TO theme": "otherwise: topic",
    "ALTER TABLE letters DROP CONSTRAINT letters_pkey": "needs a primary key",
    "ALTER TABLE letters DROP CONSTRAINT letters_pkey, ADD other bigint PRIMARY KEY": "key of letters is other",
    "ALTER TABLE letters ADD must integer NOT NULL": "must",
    "ALTER TABLE letters ADD CHECK (sent_at > '2001-01-15')": "letters_sent_at_check",
    "ALTER TABLE letters RENAME TO ledgers": "there is no table instrument_registry.letters",
    "ALTER TABLE letters ADD CONSTRAINT to_one UNIQUE (recipient)": "to_one",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_was_changed_takes_nothing_and_it_is_told(
    sent: Session, removed: RetentionRun, change: str
) -> None:
    sent.execute(change.encode())
    try:
        with pytest.raises((TableChanged, RestoreRefused, InvalidPolicy), match=CHANGES[change]) as raised:
            brought_back(removed)
        assert len(str(raised.value).splitlines()) == 1
        assert RestoreRun.objects.latest("id").status == "error"
    finally:
        sent.execute("ALTER TABLE IF EXISTS ledgers RENAME TO letters")
    assert one(sent, "SELECT count(*) FROM letters") == 0


def test_a_table_with_more_columns_takes_what_it_had(sent: Session, removed: RetentionRun) -> None:
    sent.execute("ALTER TABLE letters ADD seal text DEFAULT 'none'")
    brought_back(removed)
    assert one(sent, "SELECT count(*) FROM letters WHERE seal = 'none'") == 30


def test_rows_come_back_though_the_declaration_is_another_one(sent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    approved(conditions=[{"column": "topic", "is": "equal", "value": "news"}])
    removed = execute()
    fewer = replace(LETTERS, filters=(), holds={}, actions=(Action.ARCHIVE,), inactive="")
    with monkeypatch.context() as patch:
        patch.setitem(subject._subjects, "letters", fewer)
        assert brought_back(removed).restored == 30
        patch.delitem(subject._subjects, "letters")
        with pytest.raises(UnknownName, match="table 'letters'; valid:"):
            brought_back(removed)


def test_archived_rows_leave_the_archive_only_when_they_come_back(sent: Session) -> None:
    before = texts(sent)
    approved(action="archive", batch_size=5)
    removed = execute()
    brought_back(removed, part=2)
    assert ids(sent, "letters_archive") == {*range(1, 11), *range(21, 31)}
    sent.execute("INSERT INTO letters (id, topic) OVERRIDING SYSTEM VALUE VALUES (7, 'mine')")

    assert brought_back(removed, SKIP).restored == 19

    assert ids(sent, "letters_archive") == {7}, "the table has another row of that number"
    brought_back(removed, OVERWRITE)
    assert (texts(sent), ids(sent, "letters_archive")) == (before, set())


def test_what_another_run_archived_is_not_lost_to_a_restore(sent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", "false")
    approved(action="archive")
    approved("unsaved", action="archive", backup=False)
    first = execute()
    brought_back(first, keys=("7", "8"))
    sent.execute("UPDATE letters SET topic = 'second' WHERE id = 7")
    execute("unsaved")
    archived = texts(sent, "letters_archive")

    for conflict in Conflict:
        with pytest.raises(RestoreRefused, match="2 rows are in letters_archive as another run put them there"):
            brought_back(first, conflict)

    assert texts(sent, "letters_archive") == archived
    brought_back(first, keys=tuple(map(str, range(9, 31))))
    assert ids(sent, "letters_archive") == set(range(1, 9))


def test_a_restore_says_that_the_policy_would_take_the_rows_again(sent: Session, removed: RetentionRun) -> None:
    assert "would remove these rows again" in brought_back(removed, part=1).error
    held_back()
    assert brought_back(removed, part=2).error == ""
    RetentionPolicy.objects.update(enabled=False)
    assert brought_back(removed, part=3).error == ""


def test_what_cannot_be_restored_is_told(sent: Session, removed: RetentionRun) -> None:
    planned = RetentionRun.objects.filter(dry_run=True).latest("id")
    wrong: list[tuple[int, dict[str, Any], str]] = [
        (999, {}, "there is no retention run 999"),
        (10**30, {}, "there is no retention run 1000"),
        (planned.pk, {}, "has no backup"),
        (removed.pk, {"part": 0}, "parts 1 to 3"),
        (removed.pk, {"part": 4}, "parts 1 to 3"),
        (removed.pk, {"part": -1}, "parts 1 to 3"),
    ]
    for number, asked, why in wrong:
        with pytest.raises(UsageError, match=why):
            restore(number, Asked(**asked), OPERATOR)
    removed.backup.state = "expired"  # type: ignore[union-attr]
    removed.backup.save()  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="expired on"):
        brought_back(removed)


def test_restored_rows_are_not_removed_by_a_run_that_goes_on(sent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    approved(batch_size=5)

    def broken() -> None:
        raise DualWriteError("for the test")

    with doing("retention batch", broken, 3), pytest.raises(DualWriteError):
        execute()
    assert ids(sent) == set(range(11, 31))
    brought_back(RetentionRun.objects.latest("id"), SKIP)

    done = execute()

    assert ids(sent) == set(range(1, 11))
    assert (done.removed, done.changed) == (20, 10)


def test_numbers_that_come_after_a_restore_are_new_ones(letterbox: Session, backups: Path) -> None:
    send(letterbox, 10)
    approved()
    brought_back(execute())
    send(letterbox, 1)
    assert ids(letterbox) == set(range(1, 12))
