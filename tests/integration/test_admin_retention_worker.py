"""What takes long is done by a real worker, and what was asked for in the admin is seen on the page of its run."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from dualwrite.models import DrillRun, RestoreRun, RetentionBackup, RetentionRun
from dualwrite.stores import Session
from tests.integration.letters import approved, execute, ids, letters, send
from tests.integration.retention_pages import ACT, Keeper
from tests.integration.working import until_it_ended, worker


@pytest.fixture(autouse=True)
def table(registry: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    with letters(registry):
        yield


def test_a_policy_is_executed_by_the_worker_and_the_page_of_the_run_follows(registry: Session) -> None:
    send(registry, 5)
    made = approved()
    anna = Keeper(ACT)
    with worker():
        said = anna.agrees("retentionpolicy", made.pk, "execute", reason="agreed")
        run = RetentionRun.objects.get(dry_run=False)
        until_it_ended(run)
    assert said == f"success: Policy letters: run {run.pk} is under way."
    assert (run.status, run.removed, run.actor, run.reason) == ("complete", 5, "anna", "agreed")
    assert ids(registry) == set()


def test_backups_are_tried_and_large_restores_done_by_the_worker(registry: Session) -> None:
    send(registry, 5)
    approved()
    removed = execute()
    RetentionBackup.objects.update(rows=20_001)
    anna = Keeper(ACT)
    asked = {"part": "", "keys": "3", "since": "", "until": "", "on_conflict": "skip"}
    with worker():
        anna.presses("retentionbackup", removed.backup_id, "restore", **asked)
        dry = RestoreRun.objects.get()
        until_it_ended(dry)
        anna.agrees("restorerun", dry.pk, "restore", reason="needed")
        back = RestoreRun.objects.get(dry_run=False)
        until_it_ended(back)
        anna.presses("retentionbackup", removed.backup_id, "drill")
        deadline = time.monotonic() + 20
        while not DrillRun.objects.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        tried = DrillRun.objects.get()
        until_it_ended(tried)
    assert (dry.status, back.status, back.actor, back.reason) == ("planned", "complete", "anna", "needed")
    assert ids(registry) == {3}
    assert (tried.status, tried.actor) == ("passed", "anna")


def test_without_a_worker_nothing_is_begun_and_the_command_is_named(registry: Session) -> None:
    send(registry, 5)
    made = approved()
    said = Keeper(ACT).agrees("retentionpolicy", made.pk, "execute")
    assert said.startswith("error: Nobody is there to do it in the background, so nothing was begun: no worker answers")
    assert "manage.py run_retention --execute --policy letters" in said
    assert not RetentionRun.objects.filter(dry_run=False).exists()
