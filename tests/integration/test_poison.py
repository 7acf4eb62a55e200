"""Rows that nothing can be done with are set aside and shown; they stop neither the relay nor those who look."""

import json
import random
import string
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client

from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.relay.pipe import Moved
from dualwrite.relay.reader import Reader
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.support import add, enabled, mirrored, noted

WEIGHTS = {
    "more digits than Python reads": "1e5000",
    "more than a float, and a half": "1" + 400 * "0" + ".5",
    "not a number": "NaN",
    "without end": "-Infinity",
}
WEIGHTS_SHOWN = {"more digits than Python reads": "1" + 999 * "0"}


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def text_of(length: int, letters: str) -> str:
    """A text that the server cannot compress, the same each time."""
    return "".join(random.Random(length).choices(letters, k=length))


@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_number_too_large_for_anything_is_parked_and_shown(
    screener: Session, registry: Session, memberships: Stream, client: Client, weight: str
) -> None:
    add(screener, "BAD", weight=WEIGHTS[weight])
    add(screener, "GOOD", weight=1)
    assert worker.drain(memberships) == Moved(keys=2, parked=1)
    assert mirrored(registry) == {"NSE:GOOD": 1}
    for form in ([], ["--json"]):
        out = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("dualwrite", "parked", *form, stdout=out)
        assert end.value.code == 1
        assert "NSE:BAD" in out.getvalue()
    record = json.loads(out.getvalue())["parked"][0]["record"][0]
    assert (record["symbol"], record["weight"]) == ("BAD", WEIGHTS_SHOWN.get(weight, WEIGHTS[weight]))
    client.force_login(get_user_model().objects.create_superuser("operator"))
    page = client.get(f"/admin/dualwrite/parkedkey/{ParkedKey.objects.get().pk}/change/")
    assert page.status_code == 200
    run = validate(memberships)
    assert (run.status, [d["key"] for d in run.differences]) == ("failed", ['["NSE:BAD","NIFTY 50"]'])
    assert client.get(f"/admin/dualwrite/validationrun/{run.pk}/change/").status_code == 200


def test_a_key_longer_than_an_index_entry_is_parked_and_the_rest_flows(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """Written as JSON it is six times as long as in the old index, which still has it."""
    symbol = text_of(2_600, "".join(chr(code) for code in range(1, 32)))
    assert_parked(screener, registry, memberships, symbol, "101", "index_memberships_")


def test_a_key_longer_than_the_old_index_allows_is_parked_and_the_rest_flows(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    screener.execute("DROP INDEX index_memberships_exchange_symbol_index")
    try:
        symbol = text_of(9_000, string.ascii_uppercase + string.digits)
        assert_parked(screener, registry, memberships, symbol, "1", "index row")
    finally:
        # A row that is only deleted would be indexed as long as somebody's snapshot, a vacuum's too, may see it.
        screener.execute("TRUNCATE index_memberships")
        screener.execute(
            "CREATE INDEX index_memberships_exchange_symbol_index ON index_memberships (exchange, symbol, index_name)"
        )


def assert_parked(screener: Session, registry: Session, stream: Stream, symbol: str, weight: str, reason: str) -> None:
    """Parked for that reason, and again when noted again, while another row arrives."""
    add(screener, symbol, "X", weight=weight)
    add(screener, "GOOD")
    assert worker.drain(stream) == Moved(keys=2, parked=1)
    assert mirrored(registry) == {"NSE:GOOD": None}
    assert noted(screener) == []
    parked = ParkedKey.objects.get()
    assert json.loads(parked.key) == [f"NSE:{symbol}", "X"]
    assert reason in parked.error
    screener.execute("UPDATE index_memberships SET sector = 'x'")
    worker.drain(stream)
    assert ParkedKey.objects.get().attempts == 2
    assert validate(stream).missing_in_mirror == 1


def test_keys_with_a_null_part_are_looked_up_together(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index serves them, so each look-up reads the whole table."""
    screener.execute(
        "INSERT INTO index_memberships (exchange, index_name) SELECT 'NSE', g FROM generate_series(1, 500) g"
    )
    add(screener, "GOOD")
    looked_up: list[str] = []
    rows = Reader._rows

    def counted(self: Reader, name: str, **fragments: Any) -> dict[str, str]:
        looked_up.append(name)
        return rows(self, name, **fragments)

    monkeypatch.setattr(Reader, "_rows", counted)
    assert worker.drain(memberships) == Moved(keys=501, parked=500)
    assert looked_up == ["rows_of_keyless"]
    assert ParkedKey.objects.count() == 500
    assert mirrored(registry) == {"NSE:GOOD": None}
