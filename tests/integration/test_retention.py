"""Old rows go when a verified backup has them; nothing else goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from dualwrite.models import RetentionBackup, RetentionRun, RetentionState, RetentionStatus
from dualwrite.retention.run import Order, run
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, execute, files, ids, letters, policy, send
from tests.support import one


@pytest.fixture(autouse=True)
def table(registry: Session) -> Iterator[None]:
    with letters(registry):
        yield


@pytest.fixture(autouse=True)
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    return tmp_path / "backups"


def test_what_is_old_goes_and_what_is_young_or_has_no_date_stays(registry: Session, backups: Path) -> None:
    send(registry, 350)
    send(registry, 20, days_ago=10)
    registry.execute("INSERT INTO letters (recipient) VALUES ('undated')")
    young = ids(registry) - set(range(1, 351))
    approved()

    done = execute()

    assert (done.status, done.state, done.removed, done.changed, done.held) == ("complete", "complete", 350, 0, 0)
    assert ids(registry) == young
    assert [Path(name).name for name in files(backups)] == ["manifest.json", "part-00001.zst"]
    kept = RetentionBackup.objects.get()
    assert (kept.rows, kept.state, kept.location) == (350, "verified", done.location)
    assert done.backup_id == kept.pk


def test_a_dry_run_changes_nothing_and_tells_what_would_go(registry: Session, backups: Path) -> None:
    send(registry, 25)
    policy()

    told = run("letters", Order(OPERATOR))

    assert told.status == RetentionStatus.PLANNED
    assert (told.plan["rows"], told.plan["of"], len(told.plan["examples"])) == (25, 25, 10)
    assert told.plan["bytes"] > 0
    assert told.plan["oldest"] < told.plan["newest"]
    assert len(ids(registry)) == 25
    assert files(backups) == []


def test_a_second_run_finds_nothing_to_do(registry: Session) -> None:
    send(registry, 5)
    approved()
    execute()

    again = execute()

    assert (again.status, again.removed, again.backup) == ("complete", 0, None)
    assert RetentionBackup.objects.count() == 1


def test_archived_rows_are_in_the_archive_with_the_run(registry: Session) -> None:
    send(registry, 250)
    approved(action="archive", backup=False)

    done = execute()

    assert done.removed == 250
    assert ids(registry) == set()
    assert ids(registry, "letters_archive") == set(range(1, 251))
    assert one(registry, "SELECT DISTINCT archived_by FROM letters_archive") == done.pk


def test_marked_rows_stay_and_are_marked_once(registry: Session) -> None:
    send(registry, 250)
    approved(action="mark_inactive")

    assert execute().removed == 250
    assert one(registry, "SELECT count(*) FROM letters WHERE NOT is_open") == 250
    assert execute().removed == 0


def test_conditions_choose_rows(registry: Session) -> None:
    send(registry, 10)
    approved(
        conditions=[
            {"column": "copies", "is": "greater", "value": 3},
            {"column": "topic", "is": "in", "value": ["news", "other"]},
            {"column": "topic", "is": "not_null"},
        ]
    )

    assert execute().removed == 7
    assert ids(registry) == {1, 2, 3}


def test_every_state_of_a_run_is_one_that_follows(registry: Session) -> None:
    send(registry, 5)
    approved()
    execute()

    kept = RetentionRun.objects.get(dry_run=False)
    assert kept.state == RetentionState.COMPLETE
    assert kept.cutoff is not None
    assert kept.schema_hash
    assert kept.seconds is not None
