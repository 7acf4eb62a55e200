"""What a record is, and what a store's refusal is about: decided without any database."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from dualwrite.exceptions import RecordInvalid
from dualwrite.stages import Store
from dualwrite.stream import stream_named
from dualwrite.writing import InStore, Outcome, Written, records
from dualwrite.writing.table import Refusal, refusal

RECORD = {"instrument_key": "NSE:A", "index_id": "X", "weight": Decimal("1.50"), "sector": None, "date_added": None}
FIELDS = "the fields are instrument_key, index_id, weight, sector, date_added"


def as_json(*given: Mapping[str, object]) -> Any:
    return json.loads(records.as_json(stream_named("index_memberships"), given))


def test_values_travel_exactly() -> None:
    given = RECORD | {"weight": Decimal("0.1000000000000000055"), "date_added": date(2026, 2, 1)}
    assert as_json(given) == [given | {"weight": "0.1000000000000000055", "date_added": "2026-02-01"}]
    assert as_json(RECORD | {"weight": float("nan")})[0]["weight"] == "nan"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([RECORD | {"wieght": 1}], f"record 1: unknown wieght; {FIELDS}"),
        ([RECORD, {"instrument_key": "NSE:A", "index_id": "X"}], "record 2: weight, sector, date_added missing"),
        ([RECORD | {"index_id": None}], "record 1: index_id is part of the key and has no value"),
        ([RECORD, RECORD | {"weight": 2}], 'records 1 and 2 have the same key ["NSE:A", "X"]'),
        ([RECORD | {"sector": "a\0b"}], "record 1: sector has a character with the code 0"),
        ([RECORD | {"sector": object()}], "a value of the type object cannot be written"),
        ([["NSE:A"]], "record 1: a mapping of field names to values is needed"),
        (RECORD, "records: a list of mappings is needed"),
        ([RECORD] * 10_001, "10001 records in one call; 10000 are the most"),
    ],
)
def test_what_is_no_record_is_refused_in_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(RecordInvalid) as refused:
        records.as_json(stream_named("index_memberships"), given)
    assert sentence in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("DW001", Refusal.FENCE),
        ("DW002", Refusal.UNKNOWN),
        ("23505", Refusal.OTHERS),
        ("40P01", Refusal.OTHERS),
        ("40001", Refusal.OTHERS),
        ("23514", Refusal.RECORD),
        ("22P02", Refusal.RECORD),
        ("P0001", Refusal.RECORD),
        ("42501", Refusal.ELSE),
        ("57014", Refusal.ELSE),
        (None, Refusal.ELSE),
    ],
)
def test_a_refusal_is_told_by_its_sqlstate(state: str | None, kind: Refusal) -> None:
    assert refusal(state) is kind


def test_a_result_has_the_same_names_for_every_store() -> None:
    stores = {Store.SCREENER: InStore(Outcome.WRITTEN, 1.5), Store.REGISTRY: InStore(Outcome.PARKED, 2.0, "why")}
    assert Written('["NSE:A","X"]', stores).as_data() == {
        "key": '["NSE:A","X"]',
        "stores": {
            "screener": {"outcome": "written", "milliseconds": 1.5, "error": ""},
            "registry": {"outcome": "parked", "milliseconds": 2.0, "error": "why"},
        },
    }
