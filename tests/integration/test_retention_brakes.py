"""What holds a run before anything is removed: brakes, hours, approvals, cascades, a policy that is none."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from dualwrite.exceptions import DualWriteError, Refused, UsageError
from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.retention import brakes, vault
from dualwrite.retention.approval import approve
from dualwrite.retention.exceptions import Braked, InvalidPolicy, NotApproved
from dualwrite.retention.run import Order, run
from dualwrite.retention.sweep import sweep
from dualwrite.stores import Session
from dualwrite.switch import Actor
from tests.integration.letters import OPERATOR, approved, doing, execute, files, held_back, ids, policy, send
from tests.support import one

pytestmark = pytest.mark.usefixtures("backups")
UNATTENDED = Order(OPERATOR, execute=True, unattended=True)


@pytest.mark.parametrize(
    ("brake", "why"),
    [
        ({"max_rows": 49}, "50 rows would go, and 49 may"),
        ({"max_percent": 49.9}, "50 of 100 rows would go, 50.0 %, and 49.9 % may"),
        ({"max_rows": 0}, "50 rows would go, and 0 may"),
        ({"max_percent": 0}, "50 of 100 rows would go, 50.0 %, and 0 % may"),
    ],
)
def test_too_many_rows_stop_a_run_unless_it_is_forced(
    letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch, brake: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_FREE_ROWS", "49")
    send(letterbox, 50)
    send(letterbox, 50, days_ago=1)
    approved(**brake)

    refused = execute()

    assert (refused.status, refused.error, refused.removed) == ("refused", why, None)
    assert (len(ids(letterbox)), files(backups)) == (100, [])
    with pytest.raises(UsageError, match="force needs a reason"):
        run("letters", Order(Actor("operator"), execute=True, force=True))
    assert (execute(force=True).removed, RetentionRun.objects.latest("id").forced) == (50, True)


@pytest.mark.parametrize("brake", [{"max_rows": 50}, {"max_percent": 50}])
def test_as_many_rows_as_may_go_are_no_reason_to_stop(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch, brake: dict[str, Any]
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_FREE_ROWS", "0")
    send(letterbox, 50)
    send(letterbox, 50, days_ago=1)
    approved(**brake)

    assert execute().removed == 50


@pytest.mark.parametrize(("action", "backup"), [("delete", True), ("archive", False)])
def test_rows_that_come_between_plan_and_export_are_braked_as_well(
    letterbox: Session, backups: Path, monkeypatch: pytest.MonkeyPatch, action: str, backup: bool
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", str(backup))
    send(letterbox, 50)
    send(letterbox, 500, days_ago=1)
    approved(max_rows=60, action=action, backup=backup)
    backdated = "UPDATE letters SET sent_at = sent_at - interval '9 years' WHERE id > 60"

    with (
        doing("retention planned", lambda: letterbox.execute(backdated)),
        pytest.raises(Braked, match="50 were planned"),
    ):
        execute()

    assert (len(ids(letterbox)), files(backups)) == (550, [])


def test_an_approval_needs_a_reason_and_a_look_of_the_same_day(letterbox: Session) -> None:
    send(letterbox, 5)
    policy()
    with pytest.raises(UsageError, match="an approval needs a reason"):
        approve("letters", Actor("operator"))
    with pytest.raises(Refused, match="nobody has looked"):
        approve("letters", OPERATOR)
    looked = run("letters", Order(OPERATOR))
    RetentionRun.objects.filter(pk=looked.pk).update(started_at=timezone.now() - dt.timedelta(hours=25))
    with pytest.raises(Refused, match="nobody has looked"):
        approve("letters", OPERATOR)
    with pytest.raises(NotApproved):
        execute()
    assert len(ids(letterbox)) == 5


EDITS: list[dict[str, Any]] = [
    {"action": "archive"},
    {"date": "read"},
    {"conditions": [{"column": "topic", "is": "null"}]},
    {"max_rows": 10_000_000},
    {"max_rows": 1},
    {"max_percent": 99},
    {"days": 364},
    {"action": "mark_inactive", "backup": False},
]


def test_an_edit_ends_an_approval(letterbox: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "100")
    send(letterbox, 5)
    made = approved(days=365)
    approved_as = {name: getattr(made, name) for edit in EDITS for name in edit}
    for edit in EDITS:
        RetentionPolicy.objects.filter(pk=made.pk).update(**{**approved_as, **edit})

        with pytest.raises(NotApproved):
            execute()
        (swept,) = sweep(OPERATOR)[0]

        assert swept.run is not None
        assert (swept.run.dry_run, "waits for an approval" in swept.sentence) == (True, True), edit
        assert len(ids(letterbox)) == 5
    RetentionPolicy.objects.filter(pk=made.pk).update(**approved_as)
    assert execute().removed == 5, "as it was approved"


def test_a_longer_period_needs_no_other_approval_and_a_shorter_one_does(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "100")
    send(letterbox, 5)
    send(letterbox, 5, days_ago=150)
    made = approved(days=200)
    RetentionPolicy.objects.filter(pk=made.pk).update(days=300)
    assert execute().removed == 5
    RetentionPolicy.objects.filter(pk=made.pk).update(days=199)
    with pytest.raises(NotApproved, match="199 days"):
        execute()
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "200")
    assert execute().removed == 0, "the parameter keeps them for as long as was approved"


def test_a_remote_parameter_only_makes_it_more_careful(letterbox: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    send(letterbox, 5)
    made = approved()
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "1")
    with pytest.raises(NotApproved, match="letters, 30 days"):
        execute()
    RetentionPolicy.objects.filter(pk=made.pk).update(days=2)
    assert run("letters", Order(OPERATOR)).frozen["days"] == 30, "the least that the declaration allows"
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "2000")
    assert execute().removed == 0
    monkeypatch.setenv("INSTRUMENT_REGISTRY_LETTERS_KEPT_DAYS", "365")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BACKUP_BEFORE_DELETE", "false")
    assert execute().backup is not None, "a delete has a backup, whatever a parameter says"


def test_a_policy_that_is_switched_off_or_changed_while_a_run_begins_removes_nothing(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(letterbox, 5)
    made = approved()
    RetentionPolicy.objects.filter(pk=made.pk).update(enabled=False)
    with pytest.raises(Refused, match="is not enabled"):
        execute()
    assert sweep(OPERATOR)[0] == []
    configured = vault.configured
    for change in ({"enabled": False}, {"days": 999}, {"action": "archive"}):
        RetentionPolicy.objects.filter(pk=made.pk).update(enabled=True, days=None, action="delete")

        # Between the moment at which the policy is read, and the row by which others see the run.
        def meanwhile(change: dict[str, Any] = change) -> Any:
            RetentionPolicy.objects.filter(pk=made.pk).update(**change)
            return configured()

        with monkeypatch.context() as patch:
            patch.setattr(vault, "configured", meanwhile)
            with pytest.raises(Refused, match="was changed meanwhile"):
                execute()
    assert len(ids(letterbox)) == 5


def test_a_scheduled_run_keeps_to_its_hours_and_goes_on_the_next_night(
    letterbox: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_RETENTION_SESSIONS", "1")
    send(letterbox, 300)
    now = timezone.now()
    inside = {"window_begins": now - dt.timedelta(hours=1), "window_ends": now + dt.timedelta(hours=1)}
    outside = {"window_begins": now + dt.timedelta(hours=1), "window_ends": now + dt.timedelta(hours=2)}
    made = approved()

    def hours(window: dict[str, dt.datetime]) -> None:
        RetentionPolicy.objects.filter(pk=made.pk).update(**{name: moment.time() for name, moment in window.items()})

    hours(outside)
    (skipped,) = sweep(OPERATOR)[0]
    assert skipped.run is not None
    assert (skipped.run.status, "and the window is" in skipped.sentence) == ("skipped", True)
    hours(inside)
    with (
        monkeypatch.context() as patch,
        doing("retention batch committed", lambda: patch.setattr(brakes, "hours", late), 2),
    ):
        (stopped,) = sweep(OPERATOR)[0]
    assert stopped.run is not None
    stopped.run.refresh_from_db()
    assert (stopped.run.status, stopped.run.state, stopped.run.stopped_because) == ("stopped", "deleting", "it is late")
    assert len(ids(letterbox)) == 100

    (done,) = sweep(OPERATOR)[0]

    assert done.run is not None
    done.run.refresh_from_db()
    assert (done.run.status, done.run.removed, done.run.resumes) == ("complete", 300, stopped.run.pk)
    assert ids(letterbox) == set()
    hours(outside)
    send(letterbox, 5)
    assert execute().removed == 5, "whoever asks is not held by the hours"


def late(policy: object, now: object) -> str:
    return "it is late"


EFFECTS = {"CASCADE": "deletes", "SET NULL": "changes", "SET DEFAULT": "changes"}


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("action", ["delete", "archive"])
def test_a_table_whose_rows_take_others_with_them_is_not_trimmed(letterbox: Session, action: str, effect: str) -> None:
    send(letterbox, 5)
    letterbox.execute(
        f"CREATE TABLE stamps (letter bigint CONSTRAINT of_letter REFERENCES letters ON DELETE {effect})".encode()
    )
    letterbox.execute("INSERT INTO stamps SELECT id FROM letters")
    policy(action=action)
    try:
        with pytest.raises(Refused, match=f"{EFFECTS[effect]} rows of stamps by its foreign key of_letter") as raised:
            run("letters", Order(OPERATOR))
        assert len(str(raised.value).splitlines()) == 1
        RetentionPolicy.objects.update(action="mark_inactive")
        assert run("letters", Order(OPERATOR)).planned_rows == 5, "to mark a row reaches no other"
        assert one(letterbox, "SELECT count(letter) FROM stamps") == 5
    finally:
        letterbox.execute("DROP TABLE stamps")


def test_rows_that_others_refer_to_stay_and_the_run_says_who(letterbox: Session) -> None:
    send(letterbox, 5)
    letterbox.execute("CREATE TABLE stamps (letter bigint CONSTRAINT of_letter REFERENCES letters)")
    letterbox.execute("INSERT INTO stamps VALUES (3)")
    approved()
    try:
        with pytest.raises(DualWriteError, match='violates foreign key constraint "of_letter"') as raised:
            execute()
    finally:
        letterbox.execute("DROP TABLE stamps")
    assert len(str(raised.value).splitlines()) == 1
    assert len(ids(letterbox)) == 5


def test_a_trigger_that_refuses_ends_one_policy_and_no_other(letterbox: Session) -> None:
    send(letterbox, 5)
    letterbox.execute(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'letters are kept' USING DETAIL = 'by law'; END $$;"
        "CREATE TRIGGER never BEFORE DELETE ON letters FOR EACH ROW EXECUTE FUNCTION never()"
    )
    approved("a delete")
    approved("b mark", action="mark_inactive")
    try:
        swept, _ = sweep(OPERATOR)
    finally:
        letterbox.execute("DROP FUNCTION never CASCADE")
    assert "letters are kept" in swept[0].sentence
    assert len(swept[0].sentence.splitlines()) == 1
    assert RetentionRun.objects.get(policy="a delete", dry_run=False).error == swept[0].sentence
    assert swept[1].run is not None
    swept[1].run.refresh_from_db()
    assert swept[1].run.removed == 5
    assert len(ids(letterbox)) == 5


INJECTION = "x'); DELETE FROM letters; --"
WRONG: list[dict[str, Any]] = [
    {"conditions": [{"column": INJECTION, "is": "null"}]},
    {"conditions": [{"column": "recipient", "is": "null"}]},
    {"conditions": [{"column": "topic", "is": INJECTION}]},
    {"conditions": [{"column": "copies", "is": "equal", "value": INJECTION}]},
    {"conditions": [{"column": "copies", "is": "in", "value": [1, "1; DROP TABLE letters"]}]},
    {"conditions": [{"column": "is_open", "is": "equal", "value": "perhaps"}]},
    {"conditions": [{"column": "copies", "is": "less", "value": 10**12}]},
    {"conditions": {"column": "topic"}},
    {"date": INJECTION},
    {"date": "sent_at"},
    {"action": "delete", "table": "letters; DROP TABLE letters"},
    {"table": "instrument_registry.letters"},
    {"days": 2_000_000_000},
]


def test_a_policy_that_is_none_is_told_and_nothing_happens(letterbox: Session) -> None:
    send(letterbox, 5)
    for wrong in WRONG:
        RetentionPolicy.objects.all().delete()
        policy(**wrong)
        for order in (Order(OPERATOR), Order(OPERATOR, execute=True)):
            with pytest.raises((UsageError, NotApproved)) as raised:
                run("letters", order)
            assert len(str(raised.value).splitlines()) == 1
        (swept,) = sweep(OPERATOR)[0]
        assert swept.run is None, wrong
    assert len(ids(letterbox)) == 5


def test_a_value_is_only_ever_a_value(letterbox: Session) -> None:
    send(letterbox, 5)
    letterbox.execute("UPDATE letters SET topic = %s, recipient = %s WHERE id = 3", (INJECTION, INJECTION))
    letterbox.execute("UPDATE letters SET topic = 'a%%s{}' WHERE id = 4", ())
    held_back(INJECTION)
    approved(conditions=[{"column": "topic", "is": "in", "value": [INJECTION, "a%s{}"]}])

    assert execute().removed == 1
    assert ids(letterbox) == {1, 2, 3, 5}


def test_a_condition_that_is_unknown_of_a_row_keeps_it(letterbox: Session) -> None:
    send(letterbox, 4)
    letterbox.execute("UPDATE letters SET topic = NULL WHERE id = 1")
    letterbox.execute("UPDATE letters SET topic = 'x' WHERE id = 2")
    approved("not x", conditions=[{"column": "topic", "is": "not_in", "value": ["x", "y"]}])
    approved("not", conditions=[{"column": "topic", "is": "not_equal", "value": "news"}])
    assert (execute("not x").removed, ids(letterbox)) == (2, {1, 2})
    assert (execute("not").removed, ids(letterbox)) == (1, {1})


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("DROP TABLE letters_archive", "letters_archive lacks"),
        ("ALTER TABLE letters_archive DROP archived_by", "archived_by"),
        ("ALTER TABLE letters_archive ALTER weight TYPE real", "weight"),
    ],
)
def test_an_archive_that_does_not_fit_is_told(letterbox: Session, what: str, why: str) -> None:
    send(letterbox, 5)
    letterbox.execute(what.encode())
    policy(action="archive")
    try:
        with pytest.raises(InvalidPolicy, match=why):
            run("letters", Order(OPERATOR))
    finally:
        letterbox.execute("CREATE TABLE IF NOT EXISTS letters_archive ()")
