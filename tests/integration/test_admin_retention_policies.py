"""Policies in the admin: a form that says what is wrong, verbs that ask before, and nothing that a command refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from dualwrite.exceptions import Refused
from dualwrite.models import Audit, RetentionPolicy, RetentionRun
from dualwrite.retention import approval
from dualwrite.retention.editing import keep, remove
from dualwrite.retention.policy import Policy
from dualwrite.retention.run import Order, run
from dualwrite.stores import Session
from tests.integration.letters import OPERATOR, approved, execute, letters, policy, send
from tests.integration.retention_pages import ACT, Keeper

POLICIES = "retentionpolicy"
FORM: dict[str, object] = {
    "name": "old_letters",
    "table": "letters",
    "action": "delete",
    "date": "sent",
    "days": "",
    "batch_size": "100",
    "backup": "on",
    "max_rows": "",
    "max_percent": "",
    "window_begins": "",
    "window_ends": "",
    "conditions-0-column": "",
    "conditions-0-is": "",
    "conditions-0-value": "",
}


def condition(column: str, how: str, value: str = "", number: int = 0) -> dict[str, object]:
    """The fields of a condition's row."""
    values = {"column": column, "is": how, "value": value}
    return {f"conditions-{number}-{part}": said for part, said in values.items()}


@pytest.fixture(autouse=True)
def table(registry: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    with letters(registry):
        yield


@pytest.fixture
def anna(stores: None) -> Keeper:
    """An operator who may also edit policies."""
    edits = [f"{verb}_{POLICIES}" for verb in ("view", "add", "change", "delete")]
    return Keeper(*edits, ACT)


def test_a_policy_is_written_in_the_form_and_the_audit_has_it(anna: Keeper) -> None:
    rows = {**condition("topic", "in", "news\r\nother"), **condition("copies", "greater", "3", number=1)}
    said = anna.saves(f"{POLICIES}/add", {**FORM, "days": "400", **rows})

    assert "Nothing goes by old_letters before it is approved: never approved." in said
    made = RetentionPolicy.objects.get()
    assert made.conditions == [
        {"column": "topic", "is": "in", "value": ["news", "other"]},
        {"column": "copies", "is": "greater", "value": "3"},
    ]
    line = Audit.objects.get(verb="add retention policy")
    assert (line.actor, line.before, (line.after or {})["days"]) == ("anna", None, 400)


def test_a_change_is_kept_with_what_it_was_before_and_touches_nothing_else(anna: Keeper) -> None:
    made = approved(days=500)
    page = f"{POLICIES}/{made.pk}/change"
    without_name = {name: value for name, value in FORM.items() if name != "name"}
    said = anna.saves(page, {**without_name, "days": "400", "max_percent": "100"})

    assert "changed since it was approved: days 500 → 400" in said
    made.refresh_from_db()
    assert (made.days, made.max_percent, made.approved_days) == (400, 100, 500)
    line = Audit.objects.get(verb="change retention policy")
    assert (line.before, line.after) == ({"days": 500}, {"days": 400})
    assert line.evidence is not None
    assert line.evidence["policy"] == "letters"
    assert "changed since it was approved: days 500 → 400" in anna.reads(POLICIES)


def test_an_approval_given_while_the_form_is_sent_is_not_overwritten(registry: Session) -> None:
    before = policy()
    run(before.name, Order(OPERATOR))
    approval.approve(before.name, OPERATOR)
    before.batch_size = 7
    keep(before, OPERATOR, ["batch_size"])
    now = RetentionPolicy.objects.get()
    assert (now.batch_size, now.approved_days, before.approved_days) == (7, 365, None)


def test_an_edit_while_an_approval_is_given_is_not_what_was_approved(monkeypatch: pytest.MonkeyPatch) -> None:
    made = policy()
    run(made.name, Order(OPERATOR))
    looked = approval._require_looked_at

    def edited_meanwhile(found: Policy) -> None:
        looked(found)
        made.days = 30
        keep(made, OPERATOR, ["days"])

    monkeypatch.setattr(approval, "_require_looked_at", edited_meanwhile)
    with pytest.raises(Refused, match="was changed meanwhile"):
        approval.approve(made.name, OPERATOR)


def test_a_form_sent_as_it_was_shown_changes_nothing(anna: Keeper) -> None:
    made = approved(conditions=[{"column": "copies", "is": "greater", "value": 3}])
    without_name = {name: value for name, value in FORM.items() if name != "name"}
    anna.saves(
        f"{POLICIES}/{made.pk}/change",
        {**without_name, "max_percent": "100", **condition("copies", "greater", "3")},
    )
    assert not Audit.objects.filter(verb="change retention policy").exists()
    made.refresh_from_db()
    assert made.conditions == [{"column": "copies", "is": "greater", "value": 3}]


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"table": "dualwrite_audit"}, "table", "not one of the available choices"),
        ({"table": "audit_log", "date": "sent"}, "date", "Old_letters: date 'sent' of audit_log; valid: at."),
        ({"table": "audit_log", "date": "at", "action": "archive"}, "action", "valid: delete."),
        ({"name": "two words"}, "name", "Letters, digits, and - _ . only"),
        ({"backup": ""}, "backup", "Rows are never deleted without a backup."),
        ({"days": "0"}, "days", "greater than or equal to 1"),
        ({"days": "2000000000"}, "days", "days ago there was no calendar"),
        ({"batch_size": "0"}, "batch_size", "greater than or equal to 1"),
        ({"max_percent": "101"}, "max_percent", "less than or equal to 100"),
        ({"max_percent": "nan"}, "max_percent", "Enter a number."),
        ({"window_begins": "01:00"}, "window_ends", "A window has a beginning and an end."),
        ({"window_begins": "01:00", "window_ends": "01:00"}, "window_ends", "no scheduled run would ever work"),
        (condition("recipient", "equal", "x"), "conditions", "valid: topic, copies, is_open"),
        (condition("topic", "", "x"), "conditions", "valid: equal, not_equal"),
        (condition("topic", "in"), "conditions", "takes a list of one value and more"),
        (condition("topic", "null", "x"), "conditions", "null takes no value"),
        (condition("topic", "starts_with"), "conditions", "None is no value"),
        (condition("copies", "greater", "three"), "conditions", "invalid input syntax for type integer"),
        (condition("copies", "in", "3\r\nfour"), "conditions", "invalid input syntax for type integer"),
    ],
)
def test_what_could_not_be_run_is_never_saved_and_said_at_its_field(
    values: dict[str, object], field: str, sentence: str, anna: Keeper
) -> None:
    errors = anna.errors(f"{POLICIES}/add", {**FORM, **values})
    assert list(errors) == [field]
    assert sentence in errors[field][0]
    assert not RetentionPolicy.objects.exists()


def test_the_choices_are_the_declared_tables_and_what_they_have(anna: Keeper) -> None:
    page = anna.reads(POLICIES, "add")
    for name in ("letters", "audit_log", "broker_api_log"):
        assert f'<option value="{name}">{name}</option>' in page
    assert '<optgroup label="letters"><option value="topic">topic</option>' in page
    assert "dualwrite_audit" not in page


def test_a_policy_that_ran_is_not_deleted_and_one_that_did_not_is(anna: Keeper) -> None:
    made = policy()
    assert "deletelink" in anna.reads(POLICIES, made.pk, "change")
    run(made.name, Order(OPERATOR))
    assert "deletelink" not in anna.reads(POLICIES, made.pk, "change")
    assert anna.is_forbidden("POST", POLICIES, made.pk, "delete")
    with pytest.raises(Refused, match="has runs; disable it instead"):
        remove(made, OPERATOR)
    other = policy("never ran")
    anna.saves(f"{POLICIES}/{other.pk}/delete", {"post": "yes"})
    assert list(RetentionPolicy.objects.values_list("name", flat=True)) == ["letters"]
    assert (Audit.objects.get(verb="delete retention policy").before or {})["name"] == "never ran"


def test_a_dry_run_shows_the_plan_and_changes_nothing(registry: Session, anna: Keeper) -> None:
    send(registry, 1200)
    send(registry, 20, days_ago=1)
    made = policy(max_percent=20)
    assert anna.presses(POLICIES, made.pk, "dry_run").startswith(
        "success: Policy letters: 1200 rows would go; nothing was changed."
    )
    planned = RetentionRun.objects.get()
    page = anna.reads("retentionrun", planned.pk, "change")
    for said in (
        "1,200 of 1,220 (98.4 %)",
        "365 days, by sent",
        "Held by a brake unless forced",
        "98.4 %, and 20 % may",
    ):
        assert said in page
    assert page.count("<tr><td>") == 10
    assert (planned.dry_run, planned.actor) == (True, "anna")


def test_an_approval_is_asked_with_the_plan_and_needs_a_reason(registry: Session, anna: Keeper) -> None:
    send(registry, 7)
    made = policy()
    blocked = anna.is_not_taken(POLICIES, made.pk, "approve", reason="yes", seen="-")
    assert "make a dry run first" in blocked.content.decode()
    anna.presses(POLICIES, made.pk, "dry_run")
    page = anna.reads(POLICIES, made.pk, "approve")
    assert "7 of 7 (100.0 %)" in page
    assert "rows of letters are deleted once they are older than 365 days" in page
    seen = anna.seen(POLICIES, made.pk, "approve")
    assert "A reason is needed" in str(anna.is_not_taken(POLICIES, made.pk, "approve", seen=seen).content)

    assert anna.agrees(POLICIES, made.pk, "approve", reason="agreed") == (
        "success: Policy letters is approved for 365 days and more."
    )
    line = Audit.objects.get(verb="approve retention")
    assert (line.actor, line.reason) == ("anna", "agreed")
    assert "yes, by anna, for at least 365 days" in anna.reads(POLICIES)


def test_what_was_changed_after_the_page_was_shown_is_not_approved(registry: Session, anna: Keeper) -> None:
    made = policy(days=500)
    anna.presses(POLICIES, made.pk, "dry_run")
    seen = anna.seen(POLICIES, made.pk, "approve")
    RetentionPolicy.objects.filter(pk=made.pk).update(days=400)
    run(made.name, Order(OPERATOR))  # somebody else has looked at that
    answer = anna.is_not_taken(POLICIES, made.pk, "approve", reason="agreed", seen=seen)
    assert "It is not as this page showed it any more" in answer.content.decode()
    made.refresh_from_db()
    assert not approval.standing(made).approved


def test_nothing_is_executed_that_is_not_approved_or_not_looked_at(registry: Session, anna: Keeper) -> None:
    send(registry, 5)
    made = policy()
    anna.presses(POLICIES, made.pk, "dry_run")
    seen = anna.seen(POLICIES, made.pk, "execute")
    answer = anna.is_not_taken(POLICIES, made.pk, "execute", reason="now", seen=seen)
    assert "Nobody approved this policy as it is now" in answer.content.decode()
    anna.agrees(POLICIES, made.pk, "approve", reason="agreed")
    RetentionRun.objects.all().delete()
    assert "make a dry run first" in anna.reads(POLICIES, made.pk, "execute")
    assert not RetentionRun.objects.filter(dry_run=False).exists()


def test_what_a_brake_holds_is_executed_only_forced_and_with_a_reason(
    registry: Session, anna: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(registry, 5)
    made = approved(max_rows=1)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("dualwrite.background.BEGINS_WITHIN_SECONDS", 0.0)
    monkeypatch.setattr(
        "dualwrite.admin.retention.policy_verbs.send", lambda task, command, **values: sent.append(values)
    )
    page = anna.reads(POLICIES, made.pk, "execute")
    assert "5 rows would go, and 1 may" in page
    seen = anna.seen(POLICIES, made.pk, "execute")
    assert "unless forced" in str(anna.is_not_taken(POLICIES, made.pk, "execute", reason="x", seen=seen).content)
    without = anna.is_not_taken(POLICIES, made.pk, "execute", force="on", seen=seen)
    assert "A reason is needed" in without.content.decode()
    assert sent == []
    said = anna.agrees(POLICIES, made.pk, "execute", force="on", reason="agreed")
    assert said.startswith("success: Policy letters: the worker was asked")
    assert sent == [{"policy": "letters", "actor": "anna", "reason": "agreed", "force": True}]


def test_without_a_broker_it_says_so_and_names_the_command(
    registry: Session, anna: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(registry, 5)
    made = approved()
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    said = anna.agrees(POLICIES, made.pk, "execute")
    assert said.startswith(
        "error: Nobody is there to do it in the background, so nothing was begun: the broker does not"
    )
    assert "manage.py run_retention --execute --policy letters" in said


def test_what_is_not_to_run_is_switched_off_and_on_with_a_reason(anna: Keeper) -> None:
    made = approved()
    anna.agrees(POLICIES, made.pk, "disable", reason="removes too much")
    made.refresh_from_db()
    assert not made.enabled
    assert "it is disabled already" in anna.reads(POLICIES, made.pk, "change").lower()
    assert "is not enabled" in anna.reads(POLICIES, made.pk, "execute")
    anna.agrees(POLICIES, made.pk, "enable", reason="mended")
    assert RetentionPolicy.objects.get().enabled
    assert Audit.objects.filter(verb__endswith="able retention").count() == 2


def test_the_list_tells_how_the_last_run_went_with_a_link(registry: Session, anna: Keeper) -> None:
    send(registry, 5)
    made = approved()
    done = execute()
    run(made.name, Order(OPERATOR))
    page = anna.reads(POLICIES)
    assert f'<a href="/admin/dualwrite/retentionrun/{done.pk}/change/">complete, 5 rows went' in page


def test_whoever_may_look_may_not_act_and_whoever_may_act_may_not_edit(registry: Session) -> None:
    made = policy()
    looker = Keeper(f"view_{POLICIES}", name="bert")
    assert "Dry run" not in looker.reads(POLICIES, made.pk, "change")
    for verb in ("dry_run", "approve", "execute", "disable", "enable"):
        assert looker.is_forbidden("POST", POLICIES, made.pk, verb), verb
        assert looker.is_forbidden("GET", POLICIES, made.pk, verb), verb
    operator = Keeper(ACT, name="carl")
    assert "Dry run" in operator.reads(POLICIES, made.pk, "change")
    assert operator.is_forbidden("POST", POLICIES, made.pk, "change")
    assert operator.is_forbidden("GET", POLICIES, "add")
    assert not RetentionRun.objects.exists()


def test_a_dry_run_is_never_made_by_a_link(anna: Keeper) -> None:
    made = policy()
    assert anna.client.get(f"/admin/dualwrite/{POLICIES}/{made.pk}/dry_run/").status_code == 405
    assert not RetentionRun.objects.exists()
