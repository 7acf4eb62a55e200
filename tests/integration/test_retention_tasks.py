"""Retention in the background: tasks do what the commands do, and tell in a line what they could not."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from psycopg import errors

from config.celery import app
from dualwrite import background, runs, tasks
from dualwrite.exceptions import RunLost
from dualwrite.models import Audit, DrillRun, RestoreRun, RetentionPolicy, RetentionRun
from dualwrite.retention import sweep
from dualwrite.retention.exceptions import StorageFailed
from dualwrite.retention.restore import Asked
from dualwrite.retention.run import Order, run
from dualwrite.stores import Session
from tests.integration.letters import LETTERS, approved, execute, ids, letters, policy, send


@pytest.fixture(autouse=True)
def table(registry: Session) -> Iterator[None]:
    with letters(registry):
        yield


@pytest.fixture(autouse=True)
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the tasks logged; none with a traceback."""
    found = [record for record in caplog.records if record.name == "dualwrite.tasks"]
    assert not any(record.exc_info for record in found)
    return [record.getMessage() for record in found]


def test_the_nightly_task_carries_out_what_is_approved_and_plans_the_rest(
    registry: Session, caplog: pytest.LogCaptureFixture
) -> None:
    send(registry, 5)
    approved()
    policy("unapproved", action="archive")

    told = tasks.run_all()

    assert json.loads(json.dumps(told)) == told
    assert [(one["policy"], one["status"], one["removed"]) for one in told] == [
        ("letters", "complete", 5),
        ("unapproved", "planned", None),
    ]
    assert RetentionRun.objects.get(dry_run=False).actor == "schedule"
    assert lines(caplog) == [
        "retention of unapproved: it waits for an approval: manage.py run_retention --approve --policy unapproved "
        "--reason WHY"
    ]


def test_a_policy_that_cannot_be_carried_out_keeps_no_other_from_it(
    registry: Session, caplog: pytest.LogCaptureFixture
) -> None:
    send(registry, 5)
    approved()
    policy("broken")
    RetentionPolicy.objects.filter(name="broken").update(date="no such date")

    told = {one["policy"]: one for one in tasks.run_all()}

    assert (told["letters"]["removed"], told["broken"]["status"]) == (5, "refused")
    assert len(lines(caplog)) == 1


def test_a_server_that_refuses_one_policy_keeps_no_other_from_it(
    registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(registry, 5)
    approved()
    policy("a locked one")
    done = run

    def locked(name: str, order: Order) -> RetentionRun:
        if name != "letters":
            raise errors.LockNotAvailable("canceling statement due to lock timeout")
        return done(name, order)

    monkeypatch.setattr(sweep, "run", locked)
    told = tasks.run_all()
    assert [(one["policy"], one["removed"]) for one in told] == [("a locked one", None), ("letters", 5)]
    assert told[0]["sentence"] == "canceling statement due to lock timeout"


def test_what_keeps_backups_from_expiring_hides_no_run(registry: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    send(registry, 5)
    approved()

    def full(*_: object) -> None:
        raise StorageFailed("no such host")

    monkeypatch.setattr(sweep, "expire", full)
    told = tasks.run_all()
    assert [(one["policy"], one["status"]) for one in told] == [
        ("letters", "complete"),
        ("expiry of backups", "failed"),
    ]
    assert "no such host" in told[1]["sentence"]


def test_a_run_under_way_is_one_line_and_no_fault(registry: Session, caplog: pytest.LogCaptureFixture) -> None:
    send(registry, 5)
    approved()
    with runs.only(RetentionRun, LETTERS):
        done = tasks.run_policy("letters", "anna")
    assert done["status"] == "refused"
    (line,) = lines(caplog)
    assert line.startswith("retention of letters: It is already running: retention of table letters")
    assert len(ids(registry)) == 5


def test_a_lost_run_is_one_line(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise RunLost("run 1 was closed by somebody else")

    monkeypatch.setattr(tasks.retention, "run", lost)
    assert tasks.run_policy("letters", "anna")["status"] == "failed"
    assert len(lines(caplog)) == 1


def test_a_run_that_somebody_ordered_has_the_name_and_the_reason(registry: Session) -> None:
    send(registry, 5)
    approved(max_rows=1)

    assert tasks.run_policy("letters", "anna")["status"] == "refused"
    done = tasks.run_policy("letters", "anna", "agreed", force=True)

    assert (done["policy"], done["status"], done["removed"]) == ("letters", "complete", 5)
    made = RetentionRun.objects.get(pk=done["run"])
    assert (made.actor, made.reason, made.forced) == ("anna", "agreed", True)


def test_rows_come_back_by_a_task_and_backups_are_tried_by_one(registry: Session) -> None:
    send(registry, 5)
    approved()
    removed = execute()
    asked: dict[str, Any] = Asked(keys=("2", "4")).as_data()

    counted = tasks.restore_rows(removed.pk, asked, "anna", dry_run=True)
    assert (counted["status"], ids(registry)) == ("planned", set())
    done = tasks.restore_rows(removed.pk, asked, "anna", "needed")
    assert (done["status"], done["restored"], ids(registry)) == ("complete", 2, {2, 4})
    assert RestoreRun.objects.get(pk=done["run"]).asked == asked
    assert Audit.objects.get(verb="restore").reason == "needed"

    tried = tasks.drill_backups("anna", number=removed.backup_id)
    assert tried == {"run": DrillRun.objects.get().pk, "status": "passed"}


def test_a_restore_that_is_refused_is_one_line(registry: Session, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert tasks.restore_rows(4711, Asked().as_data(), "anna")["status"] == "refused"
    assert lines(caplog) == ["restore of run 4711: That is not a valid request: there is no retention run 4711"]


def test_what_somebody_ordered_is_never_delivered_twice_and_what_the_schedule_does_is() -> None:
    found = current_app.tasks
    assert [found[f"dualwrite.retention.{name}"].acks_late for name in ("run", "drill")] == [True, True]
    assert [found[f"dualwrite.retention.{name}"].acks_late for name in ("run_policy", "restore")] == [False, False]


def test_what_is_asked_for_in_the_admin_is_forgotten_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(app.control, "ping", lambda **_: [{"worker": "pong"}])
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append({"name": name, **options}))
    background.send("dualwrite.retention.drill", "a command", number=1)
    assert sent == [
        {"name": "dualwrite.retention.drill", "kwargs": {"number": 1}, "expires": 3600, "retry": False},
    ]


def test_a_thread_of_the_web_server_sends_by_our_application() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(str(current_app.main)))
    thread.start()
    thread.join()
    assert found == ["instrument_registry"]
