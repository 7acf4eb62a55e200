"""Long work over HTTP: ordered, waited for, ordered once, refused while another one is under way."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from dualwrite import runs
from dualwrite.access import Clearance
from dualwrite.models import IdempotentCall, ValidationRun
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import INTERNAL_KEY
from tests.integration.callers import caller, no_worker
from tests.integration.letters import approved, ids, send
from tests.integration.working import until_it_ended, worker
from tests.support import add, enabled

RUN = "/actuator/validation/run"
STREAM = {"stream": "index_memberships", "validation_level": "strict"}


def order(client: Client, body: dict[str, Any], path: str = RUN, **headers: str) -> Any:
    """The answer to an order."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, body, content_type="application/json", headers=given)


@pytest.fixture
def mirrored(screener: Session, memberships: Stream) -> Stream:
    """A stream with a row, mirrored."""
    add(screener, "A")
    enabled(memberships)
    return memberships


def test_a_validation_is_ordered_named_and_told(mirrored: Stream, client: Client) -> None:
    with worker():
        answer = order(client, STREAM)
        assert answer.status_code == 202
        (ordered,) = answer.json()["runs"]
        assert answer.headers["Location"] == ordered["location"] == f"/actuator/validation/result/{ordered['run']}"
        until_it_ended(ValidationRun.objects.get(pk=ordered["run"]))
    told = client.get(answer.headers["Location"]).json()
    assert (told["status"], told["level"], told["authority_rows"], told["matched"]) == ("passed", "strict", 1, 1)
    status = client.get("/actuator/validation/status").json()["streams"]
    assert (status[0]["stream"], status[0]["last"]["id"]) == (mirrored.name, told["id"])


def test_who_prefers_to_wait_gets_the_result(mirrored: Stream, client: Client) -> None:
    with worker():
        answer = order(client, STREAM, Prefer="respond-async, wait=30")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30")
    assert [run["status"] for run in answer.json()["runs"]] == ["passed"]


@pytest.mark.parametrize("wanted", ["wait=x", "wait=-1", "wait=", "wait=1.5"])
def test_what_is_no_time_to_wait_is_refused_before_anything_is_begun(
    wanted: str, mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = no_worker(monkeypatch)
    assert order(client, STREAM, Prefer=wanted).status_code == 400
    assert ordered == []


def test_without_a_worker_nothing_is_begun_and_the_command_is_named(mirrored: Stream, client: Client) -> None:
    answer = order(client, STREAM)
    assert answer.status_code == 503
    command = "manage.py run_validation --level strict --stream index_memberships"
    assert command in answer.json()["detail"]
    assert not ValidationRun.objects.exists()


def test_while_one_is_under_way_another_is_refused_and_the_one_is_named(mirrored: Stream, client: Client) -> None:
    with runs.only(ValidationRun, mirrored) as owner:
        row = ValidationRun.objects.create(stream=mirrored.name, level="strict", **owner.as_fields())
        answer = order(client, STREAM)
        assert answer.status_code == 409
        told = answer.json()
        assert (told["run"], told["code"]) == (row.pk, "AlreadyRunning")
        assert answer.headers["Location"] == told["location"] == f"/actuator/validation/result/{row.pk}"
        cancelled = client.post(f"{told['location']}/cancel", "", content_type="application/json")
        assert cancelled.status_code == 200
        row.refresh_from_db()
        assert row.cancel_asked_by == "key:INTERNAL_API_KEY"


def test_of_two_who_order_at_once_one_is_told_of_the_other(
    mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = no_worker(monkeypatch)
    monkeypatch.setattr("dualwrite.background.BEGINS_WITHIN_SECONDS", 1.0)  # the first one is still there
    gate, seen = threading.Barrier(2), list[int]()

    def press() -> None:
        own = Client(headers={"X-Internal-API-Key": INTERNAL_KEY})
        try:
            gate.wait()
            seen.append(order(own, STREAM).status_code)
        finally:
            connections.close_all()

    pressing = [threading.Thread(target=press) for _ in range(2)]
    for one in pressing:
        one.start()
    for one in pressing:
        one.join()
    assert sorted(seen) == [202, 409]
    assert len(ordered) == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"validation_level": "thorough"}, "validation_level is to be one of basic, detailed, strict"),
        ({"batch_size": 0}, "batch_size is to be a whole number from 1 to 1000000"),
        ({"batch_size": "many"}, "batch_size is to be a whole number"),
        ({"dry_run": True}, "dry_run goes with repair"),
        ({"repair": True, "force": True}, "force needs a reason"),
    ],
)
def test_an_order_that_is_none_is_refused_in_a_sentence(
    body: dict[str, Any], sentence: str, mirrored: Stream, client: Client
) -> None:
    answer = order(client, body)
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_an_unknown_stream_is_404(mirrored: Stream, client: Client) -> None:
    answer = order(client, {"stream": "nothing"})
    assert (answer.status_code, "valid: index_memberships" in answer.json()["detail"]) == (404, True)


def test_a_dry_run_of_retention_comes_at_once_and_a_real_one_by_the_worker(
    letterbox: Session, client: Client, backups: object
) -> None:
    send(letterbox, 5)
    approved()
    path = "/actuator/retention/run"
    assert order(client, {"policy": "letters"}, path).json()["policies"][0]["rows"] == 5
    with worker():
        wanted = {"policy": "letters", "dry_run": False, "reason": "agreed"}
        answer = order(client, wanted, path, Prefer="wait=30")
    assert answer.status_code == 200
    assert [(row["status"], row["removed"]) for row in answer.json()["policies"]] == [("complete", 5)]
    assert ids(letterbox) == set()
    assert client.get(answer.headers["Location"]).json()["removed"] == 5


def keyed(client: Client, body: dict[str, Any], key: str = "k") -> Any:
    """An order with a key of idempotency."""
    return order(client, body, Idempotency_Key=key)


def test_the_same_call_with_the_same_key_is_made_once(
    mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = no_worker(monkeypatch)
    first, second = keyed(client, STREAM), keyed(client, STREAM)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(ordered) == 1
    other = keyed(client, {**STREAM, "validation_level": "basic"})
    assert (other.status_code, len(ordered)) == (422, 1)
    assert (keyed(client, STREAM, "another").status_code, len(ordered)) == (202, 2)
    IdempotentCall.objects.update(begun_at=timezone.now() - timedelta(days=2))
    assert (keyed(client, STREAM).status_code, len(ordered)) == (202, 3)


def test_a_call_that_was_refused_may_be_made_again(
    mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keyed(client, STREAM).status_code == 503
    ordered = no_worker(monkeypatch)
    assert (keyed(client, STREAM).status_code, len(ordered)) == (202, 1)


def test_a_call_that_is_being_answered_is_409_until_it_is_abandoned(
    mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = no_worker(monkeypatch)
    keyed(client, STREAM)
    IdempotentCall.objects.update(status=None)
    answer = keyed(client, STREAM)
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    IdempotentCall.objects.update(begun_at=timezone.now() - timedelta(minutes=6))
    assert (keyed(client, STREAM).status_code, len(ordered)) == (202, 2)


def test_keys_of_two_callers_are_two(mirrored: Stream, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = no_worker(monkeypatch)
    keyed(client, STREAM)
    assert (keyed(caller(Clearance.OPERATOR), STREAM).status_code, len(ordered)) == (202, 2)


def test_a_run_whose_process_died_is_told_as_that(mirrored: Stream, client: Client) -> None:
    row = ValidationRun.objects.create(stream=mirrored.name, level="strict", backend=1)
    assert client.get(f"/actuator/validation/result/{row.pk}").json()["status"] == "error"
