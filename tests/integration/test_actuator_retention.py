"""Retention over HTTP: it tells, plans and stops; who may operate has it carried out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from actuator import retention
from dualwrite import runs
from dualwrite.models import Audit, RetentionRun
from dualwrite.retention import holds
from dualwrite.retention.drill import drill
from dualwrite.stores import Session
from tests.integration.letters import LETTERS, OPERATOR, approved, execute, ids, letters, policy, send

BASE = "/actuator/retention"


@pytest.fixture(autouse=True)
def table(registry: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path / "backups"))
    with letters(registry):
        yield


def post(client: Client, path: str, data: object = None, **kwargs: Any) -> Any:
    """Send JSON to an endpoint of retention."""
    body = "" if data is None else json.dumps(data)
    return client.generic("POST", f"{BASE}/{path}", body, content_type="application/json", **kwargs)


def problem(answer: Any, status: int) -> str:
    """What the problem document says, which is what the request was answered with."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(json.loads(answer.content)["detail"])


def test_status_tells_policies_backups_drills_and_holds(registry: Session, client: Client) -> None:
    send(registry, 5)
    approved()
    policy("waiting", days=500)
    policy("wrong", date="nothing")
    done = execute()
    tried = drill(OPERATOR)
    held = holds.hold("letters", OPERATOR, "recipient", "NSE:TCS")

    told = client.get(f"{BASE}/status").json()

    rows = {row["policy"]: row for row in told["policies"]}
    assert (rows["letters"]["days"], rows["letters"]["approved"]) == (365, True)
    assert rows["letters"]["last_run"]["run"] == done.pk
    assert (rows["letters"]["last_run"]["status"], rows["letters"]["last_run"]["removed"]) == ("complete", 5)
    assert (rows["waiting"]["approved"], rows["waiting"]["approval"]) == (False, "never approved")
    assert "valid: sent, read" in rows["wrong"]["wrong"]
    assert (told["backups"]["count"], told["backups"]["rows"], told["backups"]["broken"]) == (1, 5, [])
    assert (told["backups"]["last_drill"]["run"], told["backups"]["last_drill"]["status"]) == (tried.pk, "passed")
    assert [(one["hold"], one["value"]) for one in told["holds"]] == [(held.pk, "NSE:TCS")]
    assert (told["enabled"], told["next_run_at"]) == (True, None)


def test_status_tells_when_the_schedule_comes_next(client: Client) -> None:
    policy()
    policy("off", enabled=False)
    at_two = CrontabSchedule.objects.create(minute="0", hour="2", timezone="UTC")
    PeriodicTask.objects.create(name="retention", task="dualwrite.retention.run", crontab=at_two)
    told = client.get(f"{BASE}/status").json()
    assert "T02:00:0" in told["next_run_at"] or "T01:59:59" in told["next_run_at"]
    assert {row["policy"]: bool(row["next_run_at"]) for row in told["policies"]} == {"letters": True, "off": False}


@pytest.mark.parametrize("sent", [None, {}, {"dry_run": True}, {"policy": "letters", "reason": "asked"}])
def test_a_dry_run_is_the_default_and_tells_what_would_go(
    sent: dict[str, object] | None, registry: Session, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    send(registry, 5)
    approved()
    answer = post(client, "run", sent)
    assert answer.status_code == 200
    told = answer.json()
    assert told["dry_run"] is True
    (row,) = told["policies"]
    assert (row["policy"], row["status"], row["plan"]["rows"], len(ids(registry))) == ("letters", "planned", 5, 5)
    made = RetentionRun.objects.get(pk=row["run"])
    assert (made.dry_run, made.actor, made.reason) == (True, "key:INTERNAL_API_KEY", (sent or {}).get("reason", ""))

    call_command("run_retention", json=True)
    printed = json.loads(capsys.readouterr().out)
    assert set(told) == set(printed)
    assert set(row) == set(printed["policies"][0])
    assert row["plan"] == printed["policies"][0]["plan"]


EXECUTE = {"dry_run": False, "policy": "letters", "reason": "now"}


@pytest.fixture
def sent_tasks(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is handed to the worker, which these tests do not have."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(retention, "send", lambda task, command, **values: found.append({"task": task, **values}))
    return found


def test_the_worker_carries_an_approved_policy_out(
    registry: Session, client: Client, sent_tasks: list[dict[str, Any]]
) -> None:
    approved()
    answer = post(client, "run", EXECUTE)
    assert answer.status_code == 202
    assert answer.headers["Location"] == "/actuator/retention/status"
    assert answer.json() == {"runs": [{"of": "letters", "run": None, "status": "queued", "location": None}]}
    own = {"actor": "key:INTERNAL_API_KEY", "reason": "now", "force": False}
    assert sent_tasks == [{"task": "dualwrite.retention.run_policy", "policy": "letters", **own}]


def test_all_policies_are_carried_out_or_none(
    registry: Session, client: Client, sent_tasks: list[dict[str, Any]]
) -> None:
    approved()
    policy("waiting", days=500)
    said = problem(post(client, "run", {"dry_run": False}), 409)
    assert "Nobody approved this policy" in said
    assert not sent_tasks
    problem(post(client, "run", {**EXECUTE, "policy": "nope"}), 404)
    forced = {"dry_run": False, "policy": "letters", "force": True}
    assert "force needs a reason" in problem(post(client, "run", forced), 400)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ([], "the body is no JSON object; valid: dry_run, policy, reason, force"),
        ({"policies": "letters"}, "'policies' is not known; valid: dry_run, policy, reason, force"),
        ({"dry_run": "no"}, "dry_run is to be true or false"),
        ({"dry_run": 0}, "dry_run is to be true or false"),
        ({"dry_run": None}, "dry_run is to be true or false"),
        ({"policy": ""}, "policy is to be text that is not empty"),
        ({"policy": 7}, "policy is to be text that is not empty"),
        ({"reason": "a\0b"}, "a text with the character NUL, which no database takes."),
    ],
)
def test_a_body_that_is_not_valid_is_one_sentence(sent: object, sentence: str, client: Client) -> None:
    policy()
    assert problem(post(client, "run", sent), 400).endswith(sentence)
    assert not RetentionRun.objects.exists()


def test_what_is_no_json_is_not_taken(client: Client) -> None:
    policy()
    problem(client.generic("POST", f"{BASE}/run", "{dry_run", content_type="application/json"), 400)
    # What a page of anybody's may have a browser send is none of these.
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        told = problem(client.generic("POST", f"{BASE}/run", "policy=letters", content_type=content_type), 415)
        assert told == "A body of this Content-Type is not read; valid: application/json."
    assert not RetentionRun.objects.exists()


def test_an_unknown_policy_lists_the_valid_ones(client: Client) -> None:
    policy()
    assert "valid: letters" in problem(post(client, "run", {"policy": "nothing"}), 404)


def test_a_run_is_told_and_cancelled(client: Client) -> None:
    with runs.only(RetentionRun, LETTERS) as owner:
        progress = {"phase": "deleting", "rows": 5, "total": 10}
        run = RetentionRun.objects.create(
            stream="letters", policy="letters", dry_run=False, progress=progress, **owner.as_fields()
        )
        told = client.get(f"{BASE}/runs/{run.pk}").json()
        assert (told["run"], told["status"], told["progress"]) == (run.pk, "running", progress)
        assert post(client, f"runs/{run.pk}/cancel", {"reason": "wrong table"}).json()["status"] == "running"
        run.refresh_from_db()
        assert run.cancel_asked_by == "key:INTERNAL_API_KEY"
    line = Audit.objects.get(verb="cancel retention")
    assert (line.actor, line.reason) == ("key:INTERNAL_API_KEY", "wrong table")


def test_a_run_that_has_ended_is_not_cancelled_and_one_that_is_not_there_is_not_found(client: Client) -> None:
    run = RetentionRun.objects.create(stream="letters", policy="letters", status="complete")
    assert "has ended already, as complete" in problem(post(client, f"runs/{run.pk}/cancel"), 409)
    for number in (4711, 10**30):
        assert f"there is no retention run {number}" in problem(post(client, f"runs/{number}/cancel"), 404)
        assert f"there is no retention run {number}" in problem(client.get(f"{BASE}/runs/{number}"), 404)
    problem(post(client, f"runs/{run.pk}/cancel", {"because": "x"}), 400)


def test_a_policy_under_way_is_409_and_names_the_run(registry: Session, client: Client) -> None:
    policy()
    with runs.only(RetentionRun, LETTERS):
        assert "already running" in problem(post(client, "run", {"policy": "letters"}), 409)
        told = post(client, "run").json()
    assert [(row["policy"], row["status"]) for row in told["policies"]] == [("letters", "refused")]
