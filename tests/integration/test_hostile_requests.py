"""What nobody should send: refused in a sentence, with nothing done, and never a 5xx."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client

from dualwrite.access import Clearance, keys
from dualwrite.access.bodies import parsed
from dualwrite.access.counting import COUNTING, Counting
from dualwrite.models import Audit, RetentionRun
from dualwrite.stages import Store
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move

pytestmark = pytest.mark.usefixtures("stores")
RUN = "/actuator/retention/run"

DEEP = b"[" * 100_000
BODIES: list[tuple[bytes, int, str]] = [
    (DEEP, 413, "valid: 65536 bytes at most"),
    (b"[" * 60_000, 400, "nested too deeply"),
    (b"[" * 33 + b"]" * 33, 400, "nested too deeply; valid: 32 levels"),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "nested too deeply"),
    (b"{" + b" " * 70_000 + b"}", 413, "valid: 65536 bytes at most"),
    (b'{"reason": "a\\u0000b"}', 400, "NUL"),
    (b'{"a\\u0000b": 1}', 400, "NUL"),
    (b'{"reason": "\\ud800"}', 400, "half a character"),
    (b'{"reason": "\xff\xfe"}', 400, "not UTF-8"),
    (b'{"reason": "a\nb"}', 400, "no JSON"),
    (b'{"dry_run": 1' + b"0" * 5_000 + b"}", 400, "a number that is too large"),
    (b'{"dry_run": 1e999}', 400, "a number that is too large"),
    (b'{"dry_run": NaN}', 400, "NaN is no number of JSON"),
    (b'{"dry_run": -Infinity}', 400, "no number of JSON"),
    (b"\xef\xbb\xbf{}", 400, "no JSON"),
    (b"{} {}", 400, "no JSON"),
    (b"null", 400, "no JSON object"),
    (b'"text"', 400, "no JSON object"),
    (b"[]", 400, "no JSON object"),
    (b'{"dry_run": {"a": 1}}', 400, "dry_run is to be true or false"),
    (b'{"policy": ["x"]}', 400, "policy is to be text"),
    (b'{"policy": "' + b"x" * 2_000 + b'"}', 400, "policy is longer than 1000 characters"),
    (b'{"__proto__": {}}', 400, "'__proto__' is not known"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), BODIES, ids=lambda value: str(value)[:30])
def test_a_hostile_body_is_refused_in_a_sentence(body: bytes, status: int, sentence: str, client: Client) -> None:
    answer = client.generic("POST", RUN, body, content_type="application/json")
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert not RetentionRun.objects.exists()


def test_a_body_of_a_hundred_megabytes_is_refused_by_what_its_header_says(client: Client) -> None:
    answer = client.generic("POST", RUN, b"{}", content_type="application/json", CONTENT_LENGTH=str(100_000_000))
    assert answer.status_code == 413


def test_a_body_in_chunks_is_not_taken_for_none(client: Client) -> None:
    answer = client.generic("POST", "/actuator/dual-write/disable", b"", HTTP_TRANSFER_ENCODING="chunked")
    assert (answer.status_code, answer.headers["Content-Type"]) == (411, "application/problem+json")


def test_what_json_has_is_read() -> None:
    sent = {"a": [1, -2.5, True, None, "ü€😀"], "b": {"c": {}}}
    assert parsed(json.dumps(sent).encode()) == sent


@pytest.mark.parametrize(
    "path",
    [
        "/actuator/validation/result/99999999999999999999999999",
        "/actuator/validation/result/0",
        "/actuator/health/%00",
        "/actuator/config/%F0%9F%98%80",
        "/actuator/config/a%0D%0Ab",
        "/actuator/health/" + "x" * 5_000,
        "/actuator/dual-write/parked?stream=%00",
        "/actuator/dual-write/parked?stream=",
    ],
)
def test_a_hostile_path_is_not_found(path: str, client: Client) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404), answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("wanted", ["-1", "x", "1e3", "101", "\u0661"])
def test_a_page_of_differences_is_asked_for_in_whole_numbers(wanted: str, client: Client) -> None:
    assert client.get("/actuator/validation/result/1", {"limit": wanted}).status_code == 400


def test_a_key_of_idempotency_that_is_none_is_refused(client: Client) -> None:
    for key in ("", "x" * 201, "ü"):
        answer = client.post(RUN, {}, content_type="application/json", headers={"Idempotency-Key": key})
        assert answer.status_code == 400, key


@pytest.fixture
def few(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three requests a minute, two keys refused, in a minute that does not end."""
    settings.REQUESTS_PER_MINUTE = {"known": 3, "unknown": 3, "refused": 2}
    monkeypatch.setattr("actuator.view.OperatorView.requests_per_minute", 3)
    monkeypatch.setattr("dualwrite.access.counting.time.time", lambda: 1_000_000_000.0)
    cache.clear()
    monkeypatch.setattr(COUNTING, "_own", {})


def count(path: str, **headers: str) -> list[int]:
    """What five requests are answered with."""
    return [Client(headers=headers).get(path, REMOTE_ADDR="10.0.0.9").status_code for _ in range(5)]


@pytest.mark.usefixtures("few")
def test_calls_of_cheap_addresses_use_up_none_of_a_dear_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actuator.docs.SchemaView.requests_per_minute", 2)
    one = keys.create("one", Clearance.VIEWER, TESTER).text
    assert count("/actuator/retention/status", **{"X-Internal-API-Key": one})[:3] == [200, 200, 200]
    assert count("/api/schema/", **{"X-Internal-API-Key": one}) == [200, 200, 429, 429, 429]


@pytest.mark.usefixtures("few")
def test_a_caller_has_so_many_requests_a_minute_and_another_one_has_his_own() -> None:
    one, other = (keys.create(name, Clearance.VIEWER, TESTER).text for name in ("one", "other"))
    path = "/actuator/retention/status"
    assert count(path, **{"X-Internal-API-Key": one}) == [200, 200, 200, 429, 429]
    assert count(path, **{"X-Internal-API-Key": other})[0] == 200
    answer = Client(headers={"X-Internal-API-Key": one}).get(path)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("few")
def test_an_address_that_is_not_known_has_so_many_requests_a_minute() -> None:
    assert count("/actuator/health/liveness") == [200, 200, 200, 429, 429]


@pytest.mark.usefixtures("few")
def test_an_address_that_guesses_keys_is_shut_out_even_with_a_right_one(client: Client) -> None:
    right = keys.create("right", Clearance.VIEWER, TESTER).text
    assert count("/actuator/retention/status", **{"X-Internal-API-Key": "wrong"}) == [401, 401, 429, 429, 429]
    assert count("/actuator/retention/status", **{"X-Internal-API-Key": right})[0] == 429
    # The key of emergencies is never shut out, nor is its stop counted.
    stop = [client.generic("POST", "/actuator/dual-write/disable", REMOTE_ADDR="10.0.0.9") for _ in range(5)]
    assert [answer.status_code for answer in stop] == [200] * 5


@pytest.mark.usefixtures("few")
def test_without_redis_the_process_keeps_the_limit_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(cache, "add", away)
    monkeypatch.setattr(COUNTING, "_ask_at", float("-inf"))
    assert count("/actuator/health/liveness") == [200, 200, 200, 429, 429]


def test_counts_of_a_minute_are_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    counting, now = Counting(), [0.0]
    monkeypatch.setattr("dualwrite.access.counting.time.time", lambda: now[0])
    counting._ask_at = float("inf")
    assert [counting.add("x"), counting.add("x"), counting.add("y")] == [1, 2, 1]
    now[0] = 60.0
    assert counting.add("x") == 1


def calls() -> list[tuple[str, str, str, int]]:
    """What the audit has of calls."""
    lines = Audit.objects.filter(verb__startswith="call").order_by("id")
    return [(line.actor, line.verb, line.evidence["path"], line.evidence["status"]) for line in lines if line.evidence]


def test_every_call_that_is_denied_or_may_change_something_stands_in_the_audit(client: Client) -> None:
    viewer = Client(headers={"X-Internal-API-Key": keys.create("desk", Clearance.VIEWER, TESTER).text})
    cache.clear()
    viewer.get("/actuator/retention/status")
    viewer.post("/actuator/dual-write/pause", {}, content_type="application/json")
    Client().get("/actuator/status")
    client.post("/actuator/dual-write/pause", {}, content_type="application/json")
    assert calls() == [
        ("key:desk", "call denied", "/actuator/dual-write/pause", 403),
        ("nobody known", "call denied", "/actuator/status", 401),
        ("key:INTERNAL_API_KEY", "call", "/actuator/dual-write/pause", 409),
    ]


def test_nobody_known_fills_the_audit(settings: Any) -> None:
    settings.REQUESTS_PER_MINUTE = {**settings.REQUESTS_PER_MINUTE, "refused": 3}
    cache.clear()
    for _ in range(10):
        Client().get("/actuator/status", REMOTE_ADDR="10.0.0.9")
    assert 3 <= len(calls()) <= 6


def test_a_call_that_cannot_be_audited_is_answered_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    assert Client().get("/actuator/status").status_code == 401
    assert "not in the audit" in caplog.text
    connections["default"].close()


def test_pages_let_nothing_run_but_files_of_this_server(client: Client) -> None:
    for path in ("/admin/login/", "/api/docs/", "/actuator/health/liveness"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
