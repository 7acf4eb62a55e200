"""Who may ask the operators' API, and how errors are worded; no server needed."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from rest_framework.exceptions import Throttled, ValidationError

from actuator.problems import handle
from dualwrite.access.permissions import is_loopback
from dualwrite.exceptions import (
    AlreadyRunning,
    AuthorityUnknown,
    DualWriteError,
    Refused,
    StoreUnreachable,
    UnknownName,
    UsageError,
)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "8.8.8.8", "::2", "::ffff:10.0.0.1", "128.0.0.1", "", "localhost"])
def test_other_addresses_and_texts_are_not_loopback(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404(), 404),
        (PermissionDenied(), 403),
        (ValidationError({"to": ["unknown"]}), 400),
        (UnknownName("stream", "x", ["y"]), 404),
        (UsageError("x"), 400),
        (Refused("x"), 409),
        (AlreadyRunning("x"), 409),
        (StoreUnreachable("x"), 503),
        (AuthorityUnknown("x"), 503),
        (DualWriteError("x"), 500),
        (OperationalError("x"), 503),
        (RuntimeError("x"), 500),
    ],
)
def test_each_kind_of_error_has_its_status(error: Exception, status: int) -> None:
    answer = handle(error, {})
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert set(answer.data) >= {"type", "title", "status", "detail", "instance"}
    assert answer.data["status"] == status


@pytest.mark.parametrize("error", [RuntimeError("secret text"), OperationalError("secret text")])
def test_an_unexpected_error_is_logged_and_not_described(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    answer = handle(error, {})
    assert "secret text" not in str(answer.data)
    assert "secret text" in caplog.text


def test_an_engine_error_says_its_sentence_and_its_kind() -> None:
    data: dict[str, Any] = handle(Refused("not now"), {}).data
    assert data["detail"] == "Refused: not now"
    assert data["code"] == "Refused"


def test_an_invalid_request_lists_its_errors() -> None:
    data: dict[str, Any] = handle(ValidationError([{"parameter": "to", "detail": "unknown"}]), {}).data
    assert data["errors"] == [{"parameter": "to", "detail": "unknown"}]


def test_a_throttled_request_says_when_to_come_back() -> None:
    assert handle(Throttled(wait=7), {}).headers["Retry-After"] == "7"
