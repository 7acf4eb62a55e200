"""Whether the check of retention tells what nobody would see until rows are needed, and is silent where all is well."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from dualwrite.models import RetentionBackup, RetentionPolicy, RetentionRun
from dualwrite.monitoring.checks import check_named
from dualwrite.monitoring.health import Result, run_checks
from dualwrite.monitoring.status import Status
from dualwrite.retention.approval import approve
from dualwrite.retention.drill import drill
from dualwrite.retention.run import Order, run
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, days_ago, execute, letters, policy, send


@pytest.fixture(autouse=True)
def table(registry: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    with letters(registry):
        yield


def found() -> Result:
    """What the check says now."""
    return run_checks([check_named("retention")]).results[0]


def said() -> tuple[Status, str]:
    """Its status and sentence."""
    now = found()
    return now.status, str(now.details.get("error", ""))


def began(moment: dt.datetime) -> None:
    """Let every run have begun then."""
    RetentionRun.objects.update(started_at=moment)
    RetentionPolicy.objects.update(approved_at=moment - dt.timedelta(minutes=1))


def test_what_ran_well_of_late_is_up_and_what_nobody_approved_is_a_detail(registry: Session) -> None:
    send(registry, 5)
    approved()
    execute()
    policy("waiting", days=500)
    now = found()
    assert now.status is Status.UP, now
    rows = {row["policy"]: row for row in now.details["policies"]}
    assert (rows["letters"]["approved"], rows["waiting"]["approved"]) == (True, False)
    assert rows["letters"]["last_run"]["age_seconds"] < 60


def test_an_approved_policy_that_was_not_carried_out_for_two_nights_is_down(registry: Session) -> None:
    approved()
    assert said()[0] is Status.UP
    RetentionPolicy.objects.update(approved_at=days_ago(2.1))
    status, sentence = said()
    assert status is Status.DOWN
    assert sentence.startswith("letters is approved, and it was never carried out since")
    execute()
    assert said()[0] is Status.UP
    began(days_ago(2.1))
    assert "the last run began" in said()[1]
    began(days_ago(2))
    assert said()[0] is Status.UP


def test_neither_a_dry_run_nor_a_policy_that_is_off_counts(registry: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    approved()
    RetentionPolicy.objects.update(approved_at=days_ago(3))
    run("letters", Order(OPERATOR))
    assert said()[0] is Status.DOWN
    with monkeypatch.context() as patch:
        patch.setenv("INSTRUMENT_REGISTRY_RETENTION_ENABLED", "false")
        assert said()[0] is Status.UP
    RetentionPolicy.objects.update(enabled=False)
    assert said()[0] is Status.UP


def test_a_run_that_broke_or_whose_process_died_is_down_until_one_ends_well(registry: Session) -> None:
    approved()
    made = RetentionRun.objects.create(
        stream="letters", policy="letters", dry_run=False, status="error", error="the disk is full"
    )
    assert said() == (Status.DOWN, f"letters: run {made.pk} ended as an error: the disk is full")
    RetentionRun.objects.filter(pk=made.pk).update(status="running", backend=1)
    assert "its process died" in said()[1]
    execute()
    assert said()[0] is Status.UP


def test_what_happened_before_the_policy_was_approved_as_it_is_does_not_count(registry: Session) -> None:
    approved()
    RetentionRun.objects.create(stream="letters", policy="letters", dry_run=False, status="error", error="wrong")
    assert said()[0] is Status.DOWN
    approve("letters", OPERATOR)
    assert said()[0] is Status.UP


def test_what_a_brake_holds_is_out_of_service_until_somebody_lets_it_go_on(registry: Session) -> None:
    send(registry, 5)
    approved(max_rows=1)
    assert execute().status == "refused"
    status, sentence = said()
    assert status is Status.OUT_OF_SERVICE
    assert "a brake held run" in sentence
    assert "5 rows would go, and 1 may" in sentence
    execute_forced()
    assert said()[0] is Status.UP


def execute_forced() -> None:
    """Past the brake."""
    assert execute(force=True).status == "complete"


def test_an_enabled_policy_that_cannot_be_carried_out_is_down() -> None:
    policy(date="nothing")
    status, sentence = said()
    assert status is Status.DOWN
    assert "valid: sent, read" in sentence


def test_a_backup_that_nobody_tried_for_eight_days_is_down_and_its_first_week_is_none(registry: Session) -> None:
    send(registry, 5)
    approved()
    execute()
    RetentionBackup.objects.update(made_at=days_ago(7.9))
    assert said()[0] is Status.UP
    RetentionBackup.objects.update(made_at=days_ago(8.1))
    status, sentence = said()
    assert status is Status.DOWN
    assert sentence.startswith("a backup was not tried since ")
    drill(OPERATOR)
    assert said()[0] is Status.UP
    RetentionBackup.objects.update(drilled_at=days_ago(8.1))
    assert said()[0] is Status.DOWN
    RetentionBackup.objects.update(state="expired")
    assert said()[0] is Status.UP


def test_a_broken_backup_is_down_and_named_until_it_can_be_restored(registry: Session, tmp_path: Path) -> None:
    send(registry, 5)
    approved()
    done = execute()
    file = tmp_path / "backups" / done.location / "part-00001.zst"
    file.rename(tmp_path / "elsewhere")
    drill(OPERATOR)
    status, sentence = said()
    assert status is Status.DOWN
    assert sentence.startswith(f"backup {done.backup_id} cannot be restored: ")
    (tmp_path / "elsewhere").rename(file)
    drill(OPERATOR)
    assert said()[0] is Status.UP
