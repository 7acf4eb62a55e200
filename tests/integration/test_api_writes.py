"""Bulk writes by consumers: each record's outcome in both stores, all or none or each by itself, once for a key."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dualwrite.access.idempotency import ABANDONED
from dualwrite.clearance import Clearance
from dualwrite.control.handover import hand_over
from dualwrite.models import IdempotentCall
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from registry.bulk.write import Told, bulk_write
from registry.models import AuditLog, IndexMembershipHistory
from tests.conftest import TESTER
from tests.integration.asking import OLD, V1, api, consumer, got, posted
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import eventually, quick, relay_at_work, relayed
from tests.support import at_work, column, enabled, mirrored, noted

__all__ = ["api"]

BULK = f"{V1}/index-memberships/bulk"
INSTRUMENTS = f"{V1}/instruments/bulk"


def record(symbol: str, weight: Any = "1.5", **fields: Any) -> dict[str, Any]:
    own = {"instrument_key": f"NSE:{symbol}", "index_id": "NIFTY 50", "weight": weight, "sector": None}
    return {**own, "date_added": None, **fields}


def key(symbol: str) -> dict[str, str]:
    return {"instrument_key": f"NSE:{symbol}", "index_id": "NIFTY 50"}


def held(api: Client) -> dict[str, str | None]:
    """Symbol → weight, as consumers are told."""
    found = got(api, f"{V1}/index-memberships")["memberships"]
    return {one["instrument_key"][4:]: one["weight"] for one in found}


def outcomes(result: dict[str, Any]) -> tuple[str, ...]:
    return tuple(one["outcome"] for one in result["stores"].values())


def test_records_are_written_to_both_stores_and_read_at_once_whichever_takes_the_writes(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    for authority in Store:
        if authority is Store.REGISTRY:
            hand_over(memberships, Store.REGISTRY, TESTER)
        weight = "2.25" if authority is Store.REGISTRY else 1.5
        answer = posted(api, BULK, {"memberships": [record("A", weight), record("B", None)]})
        assert (answer["written"], answer["refused"]) == (2, 0)
        first = answer["results"][0]
        assert (first["pointer"], first["outcome"], first["key"]) == (
            *("#/memberships/0", "written", '["NSE:A","NIFTY 50"]'),
        )
        assert list(first["stores"]) == [authority.value, authority.peer.value]
        assert outcomes(first) == ("written", "mirrored")
        assert mirrored(registry) == {"NSE:A": float(weight), "NSE:B": None}
        assert held(api) == {"A": str(weight), "B": None}
    assert validate(memberships).status == "passed"


def test_memberships_end_in_both_stores_and_their_spells_are_closed(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    posted(api, BULK, {"memberships": [record("A"), record("B", date_added="2020-01-01")]})
    answer = posted(api, BULK, {"end": [key("B"), key("NONE")]})
    assert [(one["pointer"], one["outcome"]) for one in answer["results"]] == [
        ("#/end/0", "ended"),
        ("#/end/1", "absent"),
    ]
    assert outcomes(answer["results"][0]) == ("written", "mirrored")
    assert column(screener, "SELECT symbol FROM index_memberships") == ["A"]
    assert set(mirrored(registry)) == {"NSE:A"}
    current = IndexMembershipHistory.objects.filter(superseded_at=None)
    assert {one.instrument_key: one.spell.upper is None for one in current} == {"NSE:A": True, "NSE:B": False}


def test_both_kinds_in_one_call_are_one_transaction(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    posted(api, BULK, {"memberships": [record("A"), record("B")]})
    answer = posted(api, BULK, {"memberships": [record("C")], "end": [key("A")]})
    assert [outcomes(one) for one in answer["results"]] == [("written", "pending")] * 2
    eventually(lambda: set(mirrored(registry)) == {"NSE:B", "NSE:C"})
    screener.execute("ALTER TABLE index_memberships ADD CONSTRAINT c CHECK (symbol <> 'BAD')")
    try:
        problem = posted(api, BULK, {"memberships": [record("BAD")], "end": [key("B")]}, status=409)
    finally:
        screener.execute("ALTER TABLE index_memberships DROP CONSTRAINT c")
    assert "violates check constraint" in problem["detail"]
    assert held(api).keys() == {"B", "C"}


def test_instruments_are_written_and_ended_by_becoming_inactive(
    api: Client, screener: Session, instruments: Stream
) -> None:
    enabled(instruments)
    one = {"instrument_key": "NSE:TCS", "name": "Tata", "isin": "INE467B01029", "currency": "INR", "country": "India"}
    sent = {**one, "lot_size": 1, "tick_size": "0.05", "is_active": True}
    assert posted(api, INSTRUMENTS, {"instruments": [sent]})["written"] == 1
    answer = posted(api, INSTRUMENTS, {"end": [{"instrument_key": "NSE:TCS"}, {"instrument_key": "NSE:NONE"}]})
    assert [result["outcome"] for result in answer["results"]] == ["ended", "absent"]
    assert outcomes(answer["results"][0]) == ("written", "mirrored")
    told = got(api, f"{V1}/instruments/NSE:TCS")
    assert (told["name"], told["tick_size"], told["lot_size"], told["is_active"]) == ("Tata", "0.05", "1", False)
    assert column(screener, "SELECT active FROM instruments") == [False]
    assert validate(instruments).status == "passed"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"weight": 101}, "weight", "valid: percent from 0 to 100, or null"),
    ({"weight": "much"}, "weight", "valid: percent"),
    ({"weight": True}, "weight", "valid: percent"),
    ({"weight": "NaN"}, "weight", "valid: percent"),
    ({"weight": 1.1234567}, "weight", "valid: percent from 0 to 100, or null, with at most 6 decimals"),
    ({"weight": 10**400}, "weight", "valid: percent"),
    ({"weight": [1]}, "weight", "valid: percent"),
    ({"date_added": "2024-02-30"}, "date_added", "valid: a day as YYYY-MM-DD, or null"),
    ({"date_added": 20240101}, "date_added", "valid: a day"),
    ({"sector": 3}, "sector", "valid: a text, or null"),
    ({"sector": "a\0"}, "sector", "it has a character that no database takes"),
    ({"sector": "\ud800"}, "sector", "it has a character that no database takes"),
    ({"instrument_key": "nse:tcs"}, "instrument_key", "valid: EXCHANGE:SYMBOL, e.g. NSE:RELIANCE"),
    ({"instrument_key": "TCS"}, "instrument_key", "valid: EXCHANGE:SYMBOL"),
    ({"instrument_key": None}, "instrument_key", "valid: EXCHANGE:SYMBOL"),
    ({"index_id": " X"}, "index_id", "valid: text without surrounding blanks"),
    ({"extra/~": 1}, "extra~1~0", "unknown; valid: instrument_key, index_id, weight, sector, date_added"),
]


def test_every_fault_points_to_its_field_and_nothing_is_written(api: Client, screener: Session) -> None:
    for fields, name, sentence in WRONG:
        problem = posted(api, BULK, {"memberships": [record("A"), record("B", **fields)]}, status=400)
        assert problem["errors"][0]["pointer"] == f"#/memberships/1/{name}"
        assert problem["errors"][0]["detail"].startswith(sentence)
        assert problem["detail"].startswith(f"#/memberships/1/{name}: ")
    missing = record("A")
    del missing["weight"]
    faulty = {"memberships": [missing, record("B"), record("B"), 7], "end": [key("B"), {}]}
    errors = posted(api, BULK, faulty, status=400)["errors"]
    assert {one["pointer"]: one["detail"] for one in errors} == {
        "#/memberships/0/weight": "missing; null says that there is no value",
        "#/memberships/2": "the same key as #/memberships/1",
        "#/memberships/3": "valid: an object with instrument_key, index_id, weight, sector, date_added",
        "#/end/0": "the same key as #/memberships/1",
        "#/end/1/instrument_key": "missing; null says that there is no value",
        "#/end/1/index_id": "missing; null says that there is no value",
    }
    wrong_isin = {"instrument_key": "NSE:A", "name": None, "isin": "US0378331006", "currency": "usd", "country": None}
    sent = {**wrong_isin, "lot_size": 0, "tick_size": None, "is_active": "yes"}
    errors = posted(api, INSTRUMENTS, {"instruments": [sent]}, status=400)["errors"]
    assert [one["pointer"].rpartition("/")[2] for one in errors] == ["isin", "currency", "lot_size", "is_active"]
    assert column(screener, "SELECT count(*) FROM index_memberships") == [0]


def test_bodies_of_another_shape_are_refused_with_what_is_valid(api: Client) -> None:
    valid = "valid: an object with memberships and end, a list each"
    for body, pointer, sentence in (
        ([], "#", valid),
        ({"memberships": {}}, "#/memberships", valid),
        ({"membership": []}, "#/membership", valid),
        ({}, "#", "nothing to do"),
        ({"memberships": [1] * 10_001}, "#", "10001 records in one call; 10000 are the most"),
    ):
        [error] = posted(api, BULK, body, status=400)["errors"]
        assert (error["pointer"], error["detail"].startswith(sentence)) == (pointer, True)
    assert "mode: 'some'; valid: all, each" in posted(api, f"{BULK}?mode=some", {"end": []}, status=400)["detail"]


def test_each_by_itself_writes_what_can_be_written_and_says_why_the_others_were_not(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    screener.execute("ALTER TABLE index_memberships ADD CONSTRAINT c CHECK (symbol NOT LIKE 'BAD%')")
    try:
        sent = [record(s) for s in ("A", "BAD1", "B", "BAD2", "C")] + [record("D", 200), record("A", 3)]
        answer = posted(api, f"{BULK}?mode=each", {"memberships": sent, "end": [key("NONE")]})
    finally:
        screener.execute("ALTER TABLE index_memberships DROP CONSTRAINT c")
    assert (answer["written"], answer["refused"], answer["absent"]) == (3, 4, 1)
    assert [one["outcome"] for one in answer["results"]] == [
        *("written", "refused", "written", "refused", "written", "refused", "refused", "absent")
    ]
    bad = answer["results"][1]["errors"][0]
    assert bad["pointer"] == "#/memberships/1"
    assert "violates check constraint" in bad["detail"]
    assert answer["results"][5]["errors"][0]["pointer"] == "#/memberships/5/weight"
    assert held(api).keys() == {"A", "B", "C"}


def test_ten_thousand_records_are_written_by_one_call(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    answer = posted(api, BULK, {"memberships": [record(f"S{number}") for number in range(10_000)]})
    assert answer["written"] == 10_000
    assert {outcomes(one) for one in answer["results"]} == {("written", "pending")}
    with relay_at_work(memberships):
        relayed(memberships)
    assert len(mirrored(registry)) == 10_000


def test_the_same_request_again_is_answered_as_before_and_writes_nothing(
    api: Client, screener: Session, memberships: Stream
) -> None:
    body = {"memberships": [record("A")]}
    first = posted(api, BULK, body, **{"Idempotency-Key": "one"})
    screener.execute("UPDATE index_memberships SET weight = 9")
    again = api.post(BULK, body, content_type="application/json", headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (200, first, "true")
    assert column(screener, "SELECT weight FROM index_memberships") == [9]
    other = {"memberships": [record("B")]}
    problem = posted(api, BULK, other, status=422, **{"Idempotency-Key": "one"})
    assert "was used for another call" in problem["detail"]
    # Keys are the consumer's own.
    assert posted(consumer("other", Clearance.OPERATOR), BULK, other, **{"Idempotency-Key": "one"})["written"] == 1
    refused = posted(api, BULK, {"memberships": [record("C", 200)]}, status=400, **{"Idempotency-Key": "two"})
    assert refused["errors"]
    assert posted(api, BULK, body, **{"Idempotency-Key": "two"})["written"] == 1
    assert posted(api, BULK, body, status=400, **{"Idempotency-Key": "x" * 256})


def test_of_the_same_request_made_twice_at_once_one_is_carried_out(
    api: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go, carried = threading.Event(), threading.Event(), []

    def write(*given: Any) -> list[Told]:
        carried.append(1)
        inside.set()
        assert go.wait(30)
        return bulk_write(*given)

    monkeypatch.setattr("registry.api.bulk.bulk_write", write)
    body, key = {"memberships": [record("A")]}, {"Idempotency-Key": "one"}
    with at_work(lambda: posted(api, BULK, body, **key)) as first:
        assert inside.wait(30)
        assert "being answered just now" in posted(api, BULK, body, status=409, **key)["detail"]
        go.set()
        told = first.result(30)
    assert posted(api, BULK, body, **key) == told
    assert len(carried) == 1


def test_a_request_that_was_given_up_keeps_no_answer_for_who_took_over(
    api: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go = ([threading.Event(), threading.Event()] for _ in range(2))

    def write(*given: Any) -> list[Told]:
        mine = int(inside[0].is_set())
        inside[mine].set()
        assert go[mine].wait(30)
        return bulk_write(*given)

    monkeypatch.setattr("registry.api.bulk.bulk_write", write)
    body, key = {"memberships": [record("A")]}, {"Idempotency-Key": "one"}
    with at_work(lambda: posted(api, BULK, body, **key)) as slow:
        assert inside[0].wait(30)
        IdempotentCall.objects.update(begun_at=timezone.now() - ABANDONED - timedelta(seconds=1))
        with at_work(lambda: posted(api, BULK, body, **key)) as second:
            assert inside[1].wait(30)
            go[0].set()
            slow.result(30)
            assert IdempotentCall.objects.get().status is None
            go[1].set()
            told = second.result(30)
    assert posted(api, BULK, body, **key) == told


def test_who_wrote_how_much_is_in_the_business_audit(api: Client) -> None:
    writer = consumer("pricing", Clearance.OPERATOR)
    posted(writer, f"{BULK}?mode=each", {"memberships": [record("A"), record("B", 200)]}, **{"X-Request-ID": "r-1"})
    row = AuditLog.objects.get()
    told = (row.actor, row.action, row.object_type, row.request_id)
    assert told == ("pricing", "bulk write", "index_memberships", "r-1")
    assert row.after == {
        **{"written": 1, "ended": 0, "absent": 0, "refused": 1, "mode": "each"},
        "keys": ['["NSE:A","NIFTY 50"]'],
    }


def test_with_the_mirror_away_a_write_is_pending_and_with_the_authority_away_refused(
    api: Client, screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    quick(monkeypatch)
    with monkeypatch.context() as away:
        move(Store.REGISTRY, CLOSED_PORT, away)
        answer = posted(api, BULK, {"memberships": [record("A")]})
        assert outcomes(answer["results"][0]) == ("written", "pending")
        assert answer["results"][0]["stores"]["registry"]["error"]
    assert noted(screener) == ['["NSE:A","NIFTY 50"]']
    with monkeypatch.context() as away:
        move(Store.SCREENER, CLOSED_PORT, away)
        problem = posted(api, BULK, {"memberships": [record("B")]}, status=503)
        assert (problem["status"], "screener" in problem["detail"]) == (503, True)


def test_the_old_contract_takes_and_tells_its_own_form(
    api: Client, screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    one = {"symbol": "TCS", "exchange": "NSE", "index_name": "NIFTY 50", "weight": 4.25, "sector": "IT"}
    sent = {**one, "effective_date": "2020-01-31"}
    bare = {"symbol": "INFY", "exchange": "NSE", "index_name": "NIFTY 50"}
    empty = {"weight": None, "sector": None, "effective_date": None}
    assert posted(api, f"{OLD}/bulk", {"memberships": [sent, bare]}) == {"memberships": [sent, {**bare, **empty}]}
    assert got(api, OLD) == {"memberships": [{**bare, **empty}, sent]}
    assert got(api, OLD, symbol="TCS", exchange="NSE")["memberships"] == [sent]
    assert got(api, OLD, symbol="TCS")["memberships"] == [sent]
    assert got(api, OLD, exchange="BSE")["memberships"] == []
    assert got(api, OLD, index_name="DAX")["memberships"] == []
    assert mirrored(registry) == {"NSE:TCS": 4.25, "NSE:INFY": None}
    for fields, name in (
        ({"weight": 200}, "weight"),
        ({"effective_date": "soon"}, "effective_date"),
        ({"symbol": ""}, "symbol"),
        ({"exchange": "A:B"}, "exchange"),
        ({"index_name": None}, "index_name"),
        ({"id": 5}, "id"),
        ({"symbol": 5}, "symbol"),
    ):
        problem = posted(api, f"{OLD}/bulk", {"memberships": [{**sent, **fields}]}, status=400)
        assert problem["errors"][0]["pointer"] == f"#/memberships/0/{name}"
