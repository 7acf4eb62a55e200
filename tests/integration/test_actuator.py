"""The operators' API through Django's test client."""

import json
import logging
import socket
import time
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIRequestFactory

from actuator import health, status
from actuator.health import ReadyzView
from dualwrite.models import RetentionRun
from dualwrite.monitoring import checks, streams
from dualwrite.monitoring.side_by_side import Outcome
from dualwrite.stages import Store
from dualwrite.stream import Stream
from tests.integration.away import CLOSED_PORT, move, unattended

ACTS = {
    "validation-run",
    "retention-run",
    "emergency-reset",
    *(
        f"dual-write-{verb}"
        for verb in ("enable", "disable", "pause", "resume", "advance", "rollback", "backfill", "redrive")
    ),
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing kept from the test before; worker and scheduler are not looked at."""
    monkeypatch.setattr(ReadyzView, "latest", health.readiness())
    unattended(monkeypatch, health, status)


@pytest.fixture
def registry_away(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's database does not answer."""
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)


@pytest.fixture
def screener_away(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screener's database does not answer."""
    move(Store.SCREENER, CLOSED_PORT, monkeypatch)


def problem(client: Client, method: str, path: str, **headers: Any) -> dict[str, Any]:
    """The problem document a request is answered with."""
    answer = client.generic(method, path, **headers)
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.content)
    assert document["status"] == answer.status_code
    assert document["instance"] == path
    return document


@pytest.mark.usefixtures("stores")
def test_every_link_of_the_index_answers(client: Client) -> None:
    run = RetentionRun.objects.create(stream="audit_log", policy="audit_log", status="planned")
    links = client.get("/actuator").json()["_links"]
    assert links["self"]["href"] == "http://testserver/actuator"
    for relation, link in links.items():
        href = link["href"].replace("{component}", "redis").replace("{id}", str(run.pk)).replace("{name}", "BATCH_SIZE")
        there = (405,) if relation.startswith("alert-") or relation in ACTS else (200, 404)
        answer = client.get(href)
        assert answer.status_code in there, href
        # That there is no such run is another matter than that there is no such page.
        assert answer.status_code != 404 or "there is no /" not in answer.json()["detail"], href


@pytest.mark.usefixtures("stores")
def test_health_has_springs_shape(client: Client) -> None:
    answer = client.get("/actuator/health")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    data = answer.json()
    assert data["status"] == "UP"
    assert data["groups"] == ["liveness", "readiness"]
    assert data["components"]["database"]["details"]["server"] == "PostgreSQL"


@pytest.mark.usefixtures("registry_away")
def test_health_is_503_when_a_database_is_down(client: Client) -> None:
    answer = client.get("/actuator/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "DOWN"
    assert answer.json()["components"]["database"]["status"] == "DOWN"
    assert client.get("/actuator/health/database").status_code == 503
    assert client.get("/actuator/health/readiness").status_code == 503
    assert client.get("/actuator/health/redis").status_code == 200


@pytest.mark.usefixtures("stores")
def test_health_is_told_within_a_second_with_everything_hanging(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ALL", checks.ALL)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        port = silent.getsockname()[1]
        for store in Store:
            move(store, port, monkeypatch)
        settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{port}/0"
        began = time.monotonic()
        answer = client.get("/actuator/health")
        took = time.monotonic() - began
    found = {name: one["status"] for name, one in answer.json()["components"].items()}
    assert {found[name] for name in ("database", "screener", "redis", "celery", "beat", "relay")} == {"DOWN"}
    assert found["diskSpace"] == "UP"
    assert took < 1.0, f"{took:.2f} s"


@pytest.mark.usefixtures("registry_away")
def test_the_process_is_alive_without_its_database_but_not_ready(client: Client) -> None:
    assert client.get("/actuator/health/liveness").json() == {"status": "UP"}
    assert client.get("/livez").json() == {"status": "UP"}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "DOWN"})


@pytest.mark.usefixtures("screener_away")
def test_requests_are_taken_while_the_old_store_is_away(client: Client) -> None:
    assert (client.get("/readyz").status_code, client.get("/actuator/health").status_code) == (200, 503)


@pytest.mark.usefixtures("stores")
def test_info_names_the_versions(client: Client) -> None:
    data = client.get("/actuator/info").json()
    assert data["app"]["name"] == "instrument-registry"
    assert set(data["versions"]["postgresql"]) == {"registry", "screener"}
    assert int(data["versions"]["postgresql"]["registry"].split(".")[0]) >= 15


@pytest.mark.usefixtures("stores")
def test_dual_write_status_is_what_the_command_prints(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("dualwrite", "status", json=True)
    assert client.get("/actuator/dual-write/status").json() == json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("stores")
def test_a_stream_that_was_not_answered_has_a_row_of_the_same_shape(client: Client, memberships: Stream) -> None:
    rows = client.get("/actuator/dual-write/status").json()["streams"]
    stub = streams.row(memberships, Outcome(5.0))
    assert set(stub) == set(rows[0])
    assert set(stub["outbox"]) == set(rows[0]["outbox"])


@pytest.mark.usefixtures("stores")
def test_status_tells_health_streams_and_versions_and_no_problem_when_there_is_none(client: Client) -> None:
    data = client.get("/actuator/status").json()
    assert {"status", "at", "problems", "services", "components", "streams", "alerts", "versions"} < set(data)
    assert data["problems"] == []
    assert [row["name"] for row in data["streams"]] == ["index_memberships", "instruments"]


@pytest.mark.parametrize("away", ["registry_away", "screener_away"])
def test_status_is_200_within_seconds_with_a_database_away(
    away: str, client: Client, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(away)
    began = time.monotonic()
    answer = client.get("/actuator/status")
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    data = answer.json()
    assert data["status"] == "DOWN"
    name = "database" if away == "registry_away" else "screener"
    steps = {problem["where"]: problem["next"] for problem in data["problems"]}
    assert steps[name].startswith("start the ")
    assert all(problem["why"] and problem["next"] for problem in data["problems"])


@pytest.mark.usefixtures("stores")
def test_status_is_200_without_redis(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/actuator/status")
    assert answer.status_code == 200
    assert answer.json()["components"]["redis"]["status"] == "DOWN"


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_open_to_all_and_tell_no_detail(anonymous: Client, path: str) -> None:
    answer = anonymous.get(path, REMOTE_ADDR="10.0.0.9", HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert answer.status_code == 200
    assert answer.json() == {"status": "UP"}


@pytest.mark.parametrize("path", ["/actuator/nothing", "/actuator/", "/actuator/health/", "/actuator/a/b/c"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_endpoint_is_a_problem_document(client: Client, path: str, method: str) -> None:
    assert problem(client, method, path)["status"] == 404


def test_a_line_break_in_an_address_is_no_endpoint_and_begins_no_line_of_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="dualwrite")
    answer = client.post("/actuator/a%0Aadmin: all is well")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert [line for line in caplog.messages if "\n" in line] == []
    assert "POST /actuator/a%0Aadmin" in caplog.text


def test_an_unknown_component_lists_the_valid_ones(client: Client) -> None:
    found = problem(client, "GET", "/actuator/health/nothing")
    assert found["status"] == 404
    assert "dualWrite, redis, relay, retention" in found["detail"]
    assert "screener, validation" in found["detail"]


def test_a_method_that_is_not_offered_is_a_problem_document_naming_those_that_are(client: Client) -> None:
    assert problem(client, "POST", "/actuator/health")["status"] == 405
    assert "GET" in client.post("/actuator/health").headers["Allow"]


def test_whatever_format_is_asked_for_the_answer_is_json(client: Client) -> None:
    answer = client.get("/livez", HTTP_ACCEPT="text/html")
    assert answer.headers["Content-Type"] == "application/json"


def test_an_unexpected_error_in_a_view_is_a_problem_without_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> None:
        raise RuntimeError("secret text")

    monkeypatch.setattr(health, "readiness_checks", broken)
    request = APIRequestFactory().get("/actuator/health/readiness")
    answer = health.ReadinessView.as_view()(request).render()
    assert answer.status_code == 500
    assert b"secret text" not in answer.content
