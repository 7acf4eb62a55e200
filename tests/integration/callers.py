"""Somebody of each role who asks over HTTP, and a worker that takes orders and does nothing."""

from typing import Any

import pytest
from django.test import Client

from dualwrite.access import Clearance, keys
from tests.conftest import TESTER

#: Whoever asks: nobody, or a key of that role.
CALLERS: tuple[Clearance | None, ...] = (None, *Clearance)


def key_of(role: Clearance | None) -> dict[str, str]:
    """The header of a new key of that role; none for nobody."""
    return {} if role is None else {"X-Internal-API-Key": keys.create(f"a {role}", role, TESTER).text}


def caller(role: Clearance | None) -> Client:
    """A client that asks as somebody of that role."""
    return Client(headers=key_of(role))


def no_worker(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is ordered is noted here and never begun, and nobody waits for it."""
    ordered: list[dict[str, Any]] = []
    for module in ("validation", "retention"):
        monkeypatch.setattr(
            f"actuator.{module}.send", lambda task, command, **values: ordered.append({"task": task, **values})
        )
    monkeypatch.setattr("dualwrite.background.BEGINS_WITHIN_SECONDS", 0.0)
    return ordered
