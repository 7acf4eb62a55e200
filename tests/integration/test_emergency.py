"""Stopping and starting over with much of it broken: within two seconds, and what is said is what was done."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client

from dualwrite import switch
from dualwrite.access import Clearance
from dualwrite.access.keys import create
from dualwrite.control.enable import enable
from dualwrite.exceptions import AuthorityUnknown
from dualwrite.models import Alert, AlertRule, ConfigSource, ParkedKey, StreamControl, ValidationRun
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import INTERNAL_KEY, TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.support import add, column, enabled, noted, one

DISABLE, RESET = "/actuator/dual-write/disable", "/actuator/emergency/reset?confirm=true"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(params=["closed", "silent"])
def gone(request: pytest.FixtureRequest, silent: int) -> int:
    """The port of a store that is away, in either way."""
    return CLOSED_PORT if request.param == "closed" else silent


def within_two_seconds(client: Client, path: str, body: object = None) -> Any:
    """The answer; what hangs elsewhere must not make it late, whatever else this machine does."""
    began = time.monotonic()
    answer = client.post(path, "" if body is None else body, content_type="application/json")
    took = time.monotonic() - began
    assert took < 2.0, f"{took:.2f} s"
    return answer


def test_disable_without_a_body_stops_every_stream(screener: Session, memberships: Stream, client: Client) -> None:
    enabled(memberships)
    answer = within_two_seconds(client, DISABLE)
    assert answer.status_code == 200
    rows = {row["stream"]: row for row in answer.json()["streams"]}
    assert (rows["index_memberships"]["changed"], rows["instruments"]["changed"]) == (True, False)
    assert rows["index_memberships"]["pending"] == []
    add(screener, "LATER")
    assert noted(screener) == []
    assert within_two_seconds(client, DISABLE).json()["streams"][0]["changed"] is False


def test_a_dry_run_stops_nothing(screener: Session, memberships: Stream, client: Client) -> None:
    enabled(memberships)
    told = client.post(DISABLE, {"dry_run": True}, content_type="application/json").json()
    assert told["streams"][0]["changed"] is True
    assert "would no longer be noted" in told["streams"][0]["sentence"]
    add(screener, "LATER")
    assert len(noted(screener)) == 1


def test_with_the_registry_away_the_old_store_is_stopped_and_what_is_pending_is_said(
    screener: Session, memberships: Stream, client: Client, gone: int, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    enabled(memberships)
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{gone}/0"
    move(Store.REGISTRY, gone, monkeypatch)
    answer = within_two_seconds(client, DISABLE, {"reason": "the registry is away"})
    rows = {row["stream"]: row for row in answer.json()["streams"]}
    assert rows["index_memberships"]["changed"] is True
    assert any("the registry's audit lacks it" in left for left in rows["index_memberships"]["pending"])
    add(screener, "LATER")
    assert noted(screener) == []
    assert one(screener, "SELECT reason FROM dualwrite.audit ORDER BY id DESC LIMIT 1") == "the registry is away"


@pytest.mark.parametrize("path", [DISABLE, RESET])
def test_a_key_that_cannot_be_looked_up_is_told_at_once_and_nothing_is_done_later(
    screener: Session, memberships: Stream, gone: int, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    enabled(memberships)
    asks = Client(headers={"X-Internal-API-Key": create("admin", Clearance.ADMIN, TESTER).text})
    with monkeypatch.context() as patch:
        move(Store.REGISTRY, gone, patch)
        answer = within_two_seconds(asks, path)
    assert answer.status_code == 503
    assert "nothing was done, as it is not known whose key that is" in answer.json()["detail"]
    assert "INTERNAL_API_KEY asks no database" in answer.json()["detail"]
    add(screener, "LATER")
    assert len(noted(screener)) == 1
    assert not StreamControl.objects.filter(paused=True).exists()
    assert within_two_seconds(asks, DISABLE).status_code == 200


def test_wrong_keys_of_an_address_keep_nobody_there_from_stopping(
    memberships: Stream, client: Client, anonymous: Client, settings: Any
) -> None:
    enabled(memberships)
    settings.REQUESTS_PER_MINUTE = {**settings.REQUESTS_PER_MINUTE, "refused": 2}
    asks = {"X-Internal-API-Key": create("operator", Clearance.OPERATOR, TESTER).text}
    for _ in range(4):
        wrong = anonymous.generic("POST", DISABLE, headers={"X-Internal-API-Key": "wrong"})
        assert wrong.status_code == 401
    assert anonymous.get("/actuator/status", headers=asks).status_code == 429
    assert anonymous.generic("POST", DISABLE, headers=asks).status_code == 200


def test_with_the_store_that_takes_the_writes_away_nothing_is_called_done(
    memberships: Stream, client: Client, gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    move(Store.SCREENER, gone, monkeypatch)
    answer = within_two_seconds(client, DISABLE)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert "Disabled: none" in document["detail"]
    assert [row["changed"] for row in document["streams"]] == [None, None]
    assert all("screener" in row["error"] for row in document["streams"])


def test_with_everything_away_both_are_answered_and_say_so(
    stores: None, client: Client, gone: int, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{gone}/0"
    settings.CACHES = {**settings.CACHES, "default": {**settings.CACHES["default"], "LOCATION": settings.REDIS_URL}}
    for store in Store:
        move(store, gone, monkeypatch)
    assert within_two_seconds(client, DISABLE).status_code == 503
    answer = within_two_seconds(client, RESET)
    assert answer.status_code == 503
    # The breakers are in this process alone where Redis is away, and need nothing else.
    assert {step["step"] for step in answer.json()["steps"] if step["done"]} <= {"mirror breakers"}


def test_the_command_stops_what_can_be_stopped_too(
    screener: Session,
    memberships: Stream,
    gone: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    enabled(memberships)
    move(Store.REGISTRY, gone, monkeypatch)
    call_command("dualwrite", "disable", json=True, reason="away")
    rows = json.loads(capsys.readouterr().out)["streams"]
    assert (rows[0]["changed"], rows[0]["error"]) == (True, None)
    add(screener, "LATER")
    assert noted(screener) == []


def test_reset_pauses_and_forgets_what_only_waits_and_leaves_the_rest(
    screener: Session, memberships: Stream, client: Client
) -> None:
    enabled(memberships)
    add(screener, "WAITS")
    ConfigSource.objects.create(pk=1, failures=7, error="away", ask_at="2999-01-01T00:00Z")
    rule = AlertRule.objects.create(name="lag_of_a_test", measure="lag", threshold=1, severity="warning")
    cooling = {"subject": "x", "severity": "warning", "state": "firing", "fine_since": "2999-01-01T00:00Z"}
    alert = Alert.objects.create(rule=rule, since="2026-01-01T00:00Z", **cooling)
    dead = ValidationRun.objects.create(stream="index_memberships", level="strict", backend=1)
    parked = ParkedKey.objects.create(stream="index_memberships", key='["a"]', error="no")
    answer = within_two_seconds(client, RESET, {"reason": "after the outage"})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["complete"] is True
    steps = {step["step"]: step["sentence"] for step in told["steps"]}
    assert steps["pause index_memberships"].startswith("paused")
    assert "never enabled" in steps["pause instruments"]
    assert steps["config service"] == "it is asked again at the next look"
    assert steps["alerts"].startswith("1 cool-downs")
    assert steps["dead runs"].startswith("1 runs")
    assert StreamControl.objects.get(pk="index_memberships").paused
    assert ConfigSource.objects.get(pk=1).failures == 0
    alert.refresh_from_db()
    assert str(alert.fine_since) < "2999"
    dead.refresh_from_db()
    assert dead.status == "error"
    assert ParkedKey.objects.filter(pk=parked.pk).exists()
    assert len(noted(screener)) == 1
    lines = column(connections["default"].connection, "SELECT reason FROM dualwrite.audit WHERE verb ~ 'reset'")
    assert lines == ["after the outage"]
    again = within_two_seconds(client, RESET).json()
    assert {step["step"]: step["sentence"] for step in again["steps"]}["dead runs"].startswith("0 runs")


@pytest.mark.parametrize("query", ["", "?confirm=false", "?confirm=", "?confirm=TRUE"])
def test_reset_is_to_be_confirmed(query: str, memberships: Stream, client: Client, stores: None) -> None:
    enabled(memberships)
    answer = client.post(f"/actuator/emergency/reset{query}", "", content_type="application/json")
    assert answer.status_code == 400
    assert "?confirm=true" in answer.json()["detail"]
    assert not StreamControl.objects.get(pk="index_memberships").paused


def test_the_command_resets_and_is_to_be_confirmed_too(stores: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("emergency_reset", confirm=True, json=True)
    assert json.loads(capsys.readouterr().out)["complete"] is True


def _press(paths: list[tuple[str, dict[str, Any]]], gate: threading.Barrier, seen: list[int]) -> None:
    client = Client(headers={"X-Internal-API-Key": INTERNAL_KEY})
    try:
        for path, body in paths:
            gate.wait()
            seen.append(client.post(path, body, content_type="application/json").status_code)
    finally:
        connections.close_all()


@pytest.mark.parametrize("rounds", [12, pytest.param(200, marks=[pytest.mark.deep, pytest.mark.timeout(3600)])])
def test_two_operators_who_press_everything_at_once_leave_a_legal_state(
    rounds: int, memberships: Stream, client: Client, registry: Session, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REQUESTS_PER_MINUTE = {"known": 0, "unknown": 0, "refused": 10**9}
    monkeypatch.setattr("actuator.view.OperatorView.requests_per_minute", 0)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SOAK_SECONDS", "0")
    enable(memberships, TESTER)
    stream = {"stream": memberships.name}
    buttons: list[tuple[str, dict[str, Any]]] = [
        (DISABLE, stream),
        ("/actuator/dual-write/advance", stream),
        (RESET, {}),
        ("/actuator/dual-write/enable", stream),
        ("/actuator/dual-write/resume", stream),
        ("/actuator/dual-write/rollback", {**stream, "reason": "a test"}),
    ]
    dice = random.Random(8)  # the same each time
    gate, seen = threading.Barrier(2), list[int]()
    presses = [[dice.choice(buttons[:3] if n % 2 else buttons) for n in range(rounds)] for _ in range(2)]
    operators = [threading.Thread(target=_press, args=(paths, gate, seen)) for paths in presses]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()
    assert len(seen) == 2 * rounds
    # 400: no way leads back from where it is.
    assert set(seen) <= {200, 400, 409}, sorted(set(seen))
    states = switch.both(memberships)
    try:
        here = switch.authority(memberships)
    except AuthorityUnknown as exc:  # pragma: no cover
        raise AssertionError(f"nobody takes the writes: {exc}") from exc
    assert [state.role for state in states].count(Role.AUTHORITY) == 1
    stage = Stage(StreamControl.objects.get(pk=memberships.name).stage)
    assert stage.authority is here.store
    assert not any(state.role is Role.FENCED for state in states)
