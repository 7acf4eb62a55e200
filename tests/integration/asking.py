"""Asking the consumers' API in tests, and what it keeps in this process put away afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from dualwrite import writing
from dualwrite.access.keys import create
from dualwrite.clearance import Clearance
from dualwrite.models import StreamControl
from dualwrite.stages import Stage
from dualwrite.stores import Session
from dualwrite.stream import all_streams
from registry.reading import comparison, stage, usage
from tests.conftest import INTERNAL_KEY, TESTER

V1 = "/api/v1"
OLD = "/screener/api/v1/index-memberships"


@pytest.fixture
def api(stores: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Asks with the environment's key; nothing is left in this process afterwards."""
    monkeypatch.setattr(settings, "INTERNAL_API_KEY", INTERNAL_KEY)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_INLINE_RELAY_SECONDS", "10")
    # What stands in the database counts at once.
    monkeypatch.setattr(stage, "MAX_AGE_SECONDS", 0.0)
    stage.forget()
    yield Client(headers={"X-Internal-API-Key": INTERNAL_KEY})
    comparison.close()
    usage.close()
    writing.close()


def consumer(name: str, role: Clearance = Clearance.VIEWER) -> Client:
    """Asks with a key of its own."""
    return Client(headers={"X-Internal-API-Key": create(name, role, TESTER).text})


def got(client: Client, path: str, *, status: Any = 200, **query: Any) -> Any:
    """The JSON that a GET is answered with."""
    answer = client.get(path, {name: str(value) for name, value in query.items()})
    assert answer.status_code == status, answer.content
    return answer.json()


def posted(client: Client, path: str, body: Any, *, status: Any = 200, **headers: str) -> Any:
    """The JSON that a POST is answered with."""
    answer = client.post(path, body, content_type="application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return answer.json()


@pytest.fixture
def alone(api: Client, screener: Session, registry: Session) -> Session:
    """The registry takes all writes, as at stage complete; what is written there is read there."""
    screener.execute("UPDATE dualwrite.stream_state SET role = 'detached'")
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority'")
    for stream in all_streams():
        StreamControl.objects.create(stream=stream.name, stage=Stage.COMPLETE)
    return registry


def instrument(registry: Session, key: str, **fields: Any) -> None:
    """An instrument in the registry."""
    exchange, _, symbol = key.partition(":")
    values = {"name": None, "isin": None, "figi": None, "currency": None, "is_active": True, **fields}
    registry.execute(
        "INSERT INTO instruments (instrument_key, exchange, symbol, name, isin, figi, currency, is_active)"
        " VALUES (%(key)s, %(exchange)s, %(symbol)s, %(name)s, %(isin)s, %(figi)s, %(currency)s, %(is_active)s)",
        {"key": key, "exchange": exchange, "symbol": symbol, **values},
    )


def member(registry: Session, key: str, index: str = "NIFTY 50", **fields: Any) -> None:
    """A membership in the registry."""
    values = {"weight": None, "sector": None, "date_added": None, **fields}
    registry.execute(
        "INSERT INTO index_memberships (instrument_key, index_id, weight, sector, date_added)"
        " VALUES (%(key)s, %(index)s, %(weight)s, %(sector)s, %(date_added)s)",
        {"key": key, "index": index, **values},
    )


def spell(registry: Session, key: str, first: str, end: str | None, index: str = "NIFTY 50") -> None:
    """A spell in the history, from a file."""
    registry.execute(
        "INSERT INTO index_membership_history (instrument_key, index_id, spell, source)"
        " VALUES (%s, %s, daterange(%s, %s), 'file')",
        (key, index, first, end),
    )
