"""Backups are tried, and end: what cannot be restored is found, what cannot be told is told so."""

import hashlib
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from dualwrite import runs
from dualwrite.exceptions import AlreadyRunning, UsageError
from dualwrite.models import BackupState, DrillRun, LegalHold, RetentionBackup, RetentionRun
from dualwrite.retention import subject
from dualwrite.retention.drill import _Backups, drill
from dualwrite.retention.expiry import expire
from dualwrite.retention.vault import LocalVault, configured
from dualwrite.stores import Session
from tests.integration.letters import (
    LETTERS_KEPT_DAYS,
    OPERATOR,
    approved,
    brought_back,
    days_ago,
    doing,
    execute,
    files,
    held_back,
    ids,
    send,
)
from tests.integration.test_retention_faults import DAMAGES, Broken, altered, broken, flip, manifest, part
from tests.support import at_work, until_it_waits


def made(registry: Session, number: int = 3) -> list[RetentionBackup]:
    """So many backups of one table."""
    approved()
    for _ in range(number):
        send(registry, 300)
        assert execute().removed == 300
    return list(RetentionBackup.objects.order_by("id"))


@pytest.fixture
def three(letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> list[RetentionBackup]:
    """Three backups of two parts."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_PART_ROWS", "200")
    return made(letterbox)


def states() -> list[str]:
    return list(RetentionBackup.objects.order_by("id").values_list("state", flat=True))


def test_good_backups_are_marked_and_change_nothing(three: list[RetentionBackup], letterbox: Session) -> None:
    done = drill(OPERATOR)

    assert (done.status, [one["finding"] for one in done.checked]) == ("passed", [""] * 3)
    assert [one["rows"] for one in done.checked] == [300] * 3
    assert all(row.drilled_at for row in RetentionBackup.objects.all())
    assert (states(), ids(letterbox)) == (["verified"] * 3, set())


def test_a_broken_backup_is_found_and_no_other_is_blamed(three: list[RetentionBackup], backups: Path) -> None:
    shutil.copytree(backups, backups.with_name("safe"))
    for name, damage in DAMAGES.items():
        damage(backups / three[1].location)

        done = drill(OPERATOR)

        assert (done.status, states()) == ("failed", ["verified", "broken", "verified"]), name
        assert done.error.startswith("1 of 3 backups cannot be restored: ")
        assert RetentionBackup.objects.get(pk=three[1].pk).finding == done.checked[1]["finding"] != ""
        assert drill(OPERATOR, three[0].pk).status == "passed"
        assert drill(OPERATOR, three[1].pk).status == "failed"
        shutil.rmtree(backups)
        shutil.copytree(backups.with_name("safe"), backups)


def test_a_backup_that_is_well_again_is_marked_so(three: list[RetentionBackup], backups: Path) -> None:
    path = part(backups / three[0].location)
    altered(path, flip)
    drill(OPERATOR)
    altered(path, flip)

    assert (drill(OPERATOR).status, states()) == ("passed", ["verified"] * 3)
    assert set(RetentionBackup.objects.values_list("finding", flat=True)) == {""}


def test_a_backup_that_is_lost_from_the_chain_is_found(three: list[RetentionBackup]) -> None:
    RetentionRun.objects.update(backup=None)
    RetentionBackup.objects.filter(pk=three[1].pk).delete()

    done = drill(OPERATOR)

    assert (done.status, states()) == ("failed", ["verified", "broken"])
    assert "names another backup before it" in done.error


def test_a_manifest_that_is_exchanged_with_its_digest_is_found_by_the_next_one(
    three: list[RetentionBackup], backups: Path
) -> None:
    path = manifest(backups / three[0].location)
    altered(path, lambda data: data.replace(b'"cutoff": "20', b'"cutoff": "19'))

    RetentionBackup.objects.filter(pk=three[0].pk).update(manifest_sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    done = drill(OPERATOR)

    assert [bool(one["finding"]) for one in done.checked] == [False, True, False]


def test_backups_of_two_tables_that_are_made_at_once_are_both_good(
    letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = subject.Subject(
        name="others",
        schema="instrument_registry",
        table="others",
        dates={"sent": "t.sent_at"},
        period=LETTERS_KEPT_DAYS,
    )
    monkeypatch.setitem(subject._subjects, "others", others)
    letterbox.execute("CREATE TABLE others (id bigint PRIMARY KEY, sent_at timestamptz)")
    try:
        for _ in range(2):
            send(letterbox, 5)
            letterbox.execute("INSERT INTO others SELECT id, sent_at FROM letters")
            approved(f"letters {RetentionBackup.objects.count()}")
            approved(f"others {RetentionBackup.objects.count()}", table="others")
            first, second = f"letters {RetentionBackup.objects.count()}", f"others {RetentionBackup.objects.count()}"

            def beside(name: str = second) -> None:
                with at_work(lambda: execute(name)) as work:
                    assert work.result(20).removed == 5

            with doing("retention manifest stored", beside):
                assert execute(first).removed == 5
        done = drill(OPERATOR)
    finally:
        letterbox.execute("DROP TABLE others")
    assert [one["finding"] for one in done.checked] == [""] * 4


def test_a_storage_that_is_away_says_nothing_of_its_backups(three: list[RetentionBackup], backups: Path) -> None:
    away = backups.rename(backups.with_name("away"))

    done = drill(OPERATOR)

    assert (done.status, states()) == ("failed", ["verified"] * 3)
    assert [one["known"] for one in done.checked] == [False] * 3
    assert not any(row.drilled_at for row in RetentionBackup.objects.all())
    away.rename(backups)
    assert drill(OPERATOR).status == "passed"


def test_a_backup_whose_table_is_no_longer_declared_keeps_no_other_from_being_tried(
    three: list[RetentionBackup], letterbox: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    RetentionBackup.objects.filter(pk=three[0].pk).update(table="ledgers")

    done = drill(OPERATOR)

    assert [one["known"] for one in done.checked] == [False, True, True]
    assert "table 'ledgers'" in done.checked[0]["finding"]
    assert RetentionBackup.objects.get(pk=three[0].pk).state == BackupState.VERIFIED


def test_one_drill_at_a_time(three: list[RetentionBackup]) -> None:
    with runs.only(DrillRun, _Backups()), pytest.raises(AlreadyRunning):
        drill(OPERATOR)
    for number in (999, 10**30, -1):
        with pytest.raises(UsageError, match="there is no backup"):
            drill(OPERATOR, number)


def expired(**values: Any) -> None:
    RetentionBackup.objects.update(expires_at=days_ago(1), **values)


def test_backups_end_when_their_time_is_over(three: list[RetentionBackup], backups: Path) -> None:
    RetentionBackup.objects.filter(pk=three[0].pk).update(expires_at=days_ago(1))
    run = RetentionRun.objects.get(backup=three[0])

    assert [row.pk for row in expire(OPERATOR, configured())] == [three[0].pk]

    assert states() == ["expired", "verified", "verified"]
    assert len(files(backups)) == 6
    assert expire(OPERATOR, configured()) == []
    with pytest.raises(UsageError, match="expired on"):
        brought_back(run)
    assert drill(OPERATOR).status == "passed", "the chain goes on without it"


@pytest.mark.parametrize("value", ["", "NSE:INFY"])
def test_a_hold_keeps_the_backups_of_its_table(three: list[RetentionBackup], backups: Path, value: str) -> None:
    expired()
    hold = held_back(value, until=days_ago(-1) if value else None)
    LegalHold.objects.exclude(until=None).update(until=days_ago(1))

    assert (expire(OPERATOR, configured()), len(files(backups))) == ([], 9)

    LegalHold.objects.filter(pk=hold.pk).update(released_at=timezone.now())
    assert len(expire(OPERATOR, configured())) == 3
    assert files(backups) == []


def test_a_run_that_is_to_go_on_keeps_its_backup(letterbox: Session, backups: Path) -> None:
    send(letterbox, 300)
    approved()
    with doing("retention batch", broken, 2), pytest.raises(Broken):
        execute()
    expired()

    assert (expire(OPERATOR, configured()), len(files(backups))) == ([], 2)

    assert execute().removed == 300
    expired()
    assert len(expire(OPERATOR, configured())) == 1


def test_a_hold_that_comes_while_a_backup_ends_keeps_all_the_others(
    three: list[RetentionBackup], letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired()
    reached, go_on, remove = threading.Event(), threading.Event(), LocalVault.remove

    def slowly(self: LocalVault, folder: str) -> None:
        reached.set()
        assert go_on.wait(20)
        remove(self, folder)

    monkeypatch.setattr(LocalVault, "remove", slowly)
    with at_work(lambda: expire(OPERATOR, configured())) as work:
        assert reached.wait(20)
        with at_work(held_back) as holding:
            until_it_waits(letterbox, holding)
            go_on.set()
            holding.result(20)
        assert len(work.result(20)) == 1
    assert states() == ["expired", "verified", "verified"]
    assert len(files(backups)) == 6


def test_a_storage_that_is_away_ends_no_backup(
    three: list[RetentionBackup], backups: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expired()
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "nowhere"))

    with pytest.raises(Exception, match="is not there"):
        expire(OPERATOR, configured())

    assert (states(), len(files(backups))) == (["verified"] * 3, 9)
