"""What consumers read of the registry: instruments, identifiers, indices, members, in pages and in several forms."""

import csv
import gzip
import io
import json
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dualwrite.stages import Store
from dualwrite.stores import Session
from tests.integration.asking import V1, alone, api, consumer, got, instrument, member, posted, spell

__all__ = ["alone", "api"]

RELIANCE = {"name": "Reliance Industries", "isin": "INE002A01018", "figi": "BBG000BLNNH6", "currency": "INR"}


@pytest.fixture
def market(alone: Session) -> Session:
    instrument(alone, "NSE:RELIANCE", **RELIANCE)
    instrument(alone, "BSE:RELIANCE", name="Reliance Industries", isin="INE002A01018", currency="INR")
    instrument(alone, "NSE:RELINFRA", name="Reliance Infrastructure", currency="INR")
    instrument(alone, "NSE:TCS", name="Tata Consultancy Services", currency="INR", is_active=False)
    instrument(alone, "ETR:SAP", name="SAP SE", isin="DE0007164600", currency="EUR")
    return alone


def keys(answer: Any, name: str = "instruments") -> list[str]:
    return [one["instrument_key"] for one in answer[name]]


FOUND = {
    "RELIANCE": ["BSE:RELIANCE", "NSE:RELIANCE", "NSE:RELINFRA"],
    "reli": ["BSE:RELIANCE", "NSE:RELIANCE", "NSE:RELINFRA"],
    "INE002A01018": ["BSE:RELIANCE", "NSE:RELIANCE"],
    "BBG000BLNNH6": ["NSE:RELIANCE"],
    "consultancy": ["NSE:TCS"],
    "consultanci servises": ["NSE:TCS"],
    "%": [],
    "_": [],
    "\\": [],
}


def test_a_search_finds_by_key_symbol_isin_figi_and_names_that_are_nearly_right(api: Client, market: Session) -> None:
    assert {term: keys(got(api, f"{V1}/instruments", search=term)) for term in FOUND} == FOUND
    for term in ("NSE:RELIANCE", "nse:reliance"):
        assert keys(got(api, f"{V1}/instruments", search=term))[0] == "NSE:RELIANCE"


def test_a_search_is_filtered_and_goes_in_pages_that_hold_each_instrument_once(api: Client, market: Session) -> None:
    assert keys(got(api, f"{V1}/instruments", exchange="NSE", is_active="true")) == ["NSE:RELIANCE", "NSE:RELINFRA"]
    assert keys(got(api, f"{V1}/instruments", search="reliance", exchange="BSE")) == ["BSE:RELIANCE"]
    seen, page = [], got(api, f"{V1}/instruments", search="reliance", limit=1)
    while True:
        seen += keys(page)
        if page["next"] is None:
            break
        page = api.get(page["next"]).json()
    assert seen == ["BSE:RELIANCE", "NSE:RELIANCE", "NSE:RELINFRA"]


def test_all_instruments_go_in_pages_by_key(api: Client, market: Session) -> None:
    first = got(api, f"{V1}/instruments", limit=3)
    assert keys(first) == ["BSE:RELIANCE", "ETR:SAP", "NSE:RELIANCE"]
    rest = api.get(first["next"]).json()
    assert (keys(rest), rest["next"]) == (["NSE:RELINFRA", "NSE:TCS"], None)
    assert keys(got(api, f"{V1}/instruments", currency="EUR")) == ["ETR:SAP"]


def test_one_instrument_is_told_with_what_follows_from_its_key(api: Client, market: Session) -> None:
    found = got(api, f"{V1}/instruments/ETR:SAP")
    assert found == {
        "instrument_key": "ETR:SAP",
        "symbol": "SAP",
        "exchange": "ETR",
        "mic": "XETR",
        "isin": "DE0007164600",
        "name": "SAP SE",
        "currency": "EUR",
        "country": None,
        "lot_size": None,
        "tick_size": None,
        "is_active": True,
    }
    problem = got(api, f"{V1}/instruments/ETR:NONE", status=404)
    assert problem["detail"] == "there is no instrument ETR:NONE; valid: EXCHANGE:SYMBOL, e.g. NSE:RELIANCE"


def test_keys_with_a_slash_a_blank_and_letters_of_any_script_are_found(api: Client, alone: Session) -> None:
    for key in ("NSE:M&M", "NSE:A/B memberships", "NSE:Öl 100%"):
        instrument(alone, key)
        member(alone, key, "S&P/ASX 200")
        assert got(api, f"{V1}/instruments/{key.replace('%', '%25')}")["instrument_key"] == key
    members = got(api, f"{V1}/indices/S&P/ASX 200/members")
    assert keys(members, "members") == ["NSE:A/B memberships", "NSE:M&M", "NSE:Öl 100%"]


def test_identifiers_are_resolved_each_with_its_match_or_the_reason(api: Client, market: Session) -> None:
    asked: list[Any] = [
        "NSE:RELIANCE",
        {"symbol": "SAP", "exchange": "etr"},
        {"isin": "DE0007164600"},
        {"figi": "BBG000BLNNH6"},
        "INE002A01018",
        {"symbol": "RELIANCE"},
        "DE0007164601",
        "NSE:NONE",
        {"sedol": "1"},
        7,
        "",
        "TCS",
    ]
    answer = posted(api, f"{V1}/instruments/resolve", {"identifiers": asked})
    told = answer["results"]
    assert [one["identifier"] for one in told] == asked
    assert [[m["instrument_key"] for m in one["matches"]] for one in told] == [
        *(["NSE:RELIANCE"], ["ETR:SAP"], ["ETR:SAP"], ["NSE:RELIANCE"], [], [], [], [], [], [], [], ["NSE:TCS"])
    ]
    assert [one["status"] for one in told[4:11]] == [
        *("ambiguous", "ambiguous", "invalid", "not_found", "invalid", "invalid", "invalid")
    ]
    assert keys(told[4], "candidates") == ["BSE:RELIANCE", "NSE:RELIANCE"]
    assert told[4]["reason"] == "2 instruments have the ISIN INE002A01018; name the one by its key"
    assert told[6]["reason"] == "bad ISIN check digit or form: DE0007164601"
    assert told[7]["reason"] == "no instrument has the key NSE:NONE"
    assert (answer["found"], answer["ambiguous"], answer["not_found"], answer["invalid"]) == (5, 2, 1, 4)


def test_the_only_active_listing_goes_before_those_that_are_not(api: Client, market: Session) -> None:
    market.execute("UPDATE instruments SET is_active = false WHERE instrument_key = 'BSE:RELIANCE'")
    [told] = posted(api, f"{V1}/instruments/resolve", {"identifiers": ["INE002A01018"]})["results"]
    assert keys(told, "matches") == ["NSE:RELIANCE"]


def test_an_identifier_means_what_it_meant_on_a_day(api: Client, market: Session) -> None:
    market.execute("UPDATE instruments SET isin = 'US0378331005' WHERE instrument_key = 'ETR:SAP'")
    market.execute("UPDATE changes SET at = at - interval '40 days' WHERE before IS NULL")
    market.execute("UPDATE changes SET at = '2024-05-02 10:00+00' WHERE before IS NOT NULL")

    def status(isin: str, day: str | None) -> str:
        body = {"identifiers": [{"isin": isin}], "as_of": day}
        return str(posted(api, f"{V1}/instruments/resolve", body)["results"][0]["status"])

    market.execute("UPDATE changes SET at = '2024-01-01 10:00+00' WHERE before IS NULL")
    assert [status("DE0007164600", day) for day in ("2024-05-01", "2024-05-02", None)] == [
        *("found", "not_found", "not_found")
    ]
    assert [status("US0378331005", day) for day in ("2024-05-01", "2024-05-02", None)] == [
        *("not_found", "found", "found")
    ]
    # Before it was there at all.
    assert status("DE0007164600", "2023-12-31") == "not_found"


def test_what_no_database_takes_is_found_nowhere_and_told_back_whole(api: Client, alone: Session) -> None:
    for path in ("instruments/NSE:%00", "instruments/NSE:%00/memberships", "indices/%00/members", "indices/%00"):
        assert api.get(f"{V1}/{path}").status_code == 404
    half = api.post(
        f"{V1}/index-memberships/bulk", '{"memberships": [{"\\ud800": 1}]}', content_type="application/json"
    )
    assert half.json()["errors"][0]["pointer"] == "#/memberships/0/\ud800"
    answer = posted(api, f"{V1}/instruments/resolve", {"identifiers": ["NSE:\ud800", "\0", {"isin": "\udfff"}]})
    assert answer["invalid"] == 3
    for as_of in ("0001-01-01", "9999-12-31"):
        assert got(api, f"{V1}/indices/X/members", status=404, as_of=as_of)
        assert got(api, f"{V1}/indices/X/changes", status=404, **{"from": as_of, "to": "9999-12-31"})
    assert got(api, f"{V1}/indices/X/members", status=400, known_at="0001-01-01T00:00:00+14:00")


def test_indices_are_listed_with_their_members(api: Client, alone: Session) -> None:
    alone.execute("INSERT INTO indices (index_id, name) VALUES ('DAX', 'Deutscher Aktienindex')")
    member(alone, "NSE:TCS")
    member(alone, "NSE:INFY")
    found = got(api, f"{V1}/indices")["indices"]
    assert [(one["index_id"], one["name"], one["members"]) for one in found] == [
        ("DAX", "Deutscher Aktienindex", 0),
        ("NIFTY 50", None, 2),
    ]
    assert got(api, f"{V1}/indices/DAX")["members"] == 0
    assert "there is no index FOO" in got(api, f"{V1}/indices/FOO", status=404)["detail"]


def test_members_are_told_as_json_csv_and_lines(api: Client, alone: Session) -> None:
    member(alone, "NSE:TCS", weight="4.20", sector='IT, "services"', date_added="2020-01-31")
    member(alone, "NSE:INFY")
    path = f"{V1}/indices/NIFTY 50/members"
    told = got(api, path)
    assert (told["index_id"], told["count"]) == ("NIFTY 50", 2)
    assert told["members"][1] == {
        "instrument_key": "NSE:TCS",
        "weight": "4.2",
        "sector": 'IT, "services"',
        "date_added": "2020-01-31",
    }
    table = api.get(path, headers={"Accept": "text/csv"})
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(table.content.decode())))[2] == [
        "NSE:TCS",
        "4.2",
        'IT, "services"',
        "2020-01-31",
    ]
    lines = api.get(path, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["instrument_key"] for line in lines.content.splitlines()] == ["NSE:INFY", "NSE:TCS"]
    refused = api.get(path, {"as_of": "soon"}, headers={"Accept": "text/csv"})
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")
    assert api.get(path, headers={"Accept": "image/png"}).status_code == 406


def test_no_rows_are_of_the_form_that_was_asked_for_as_well(api: Client, alone: Session) -> None:
    none = api.get(f"{V1}/instruments", headers={"Accept": "application/x-ndjson"})
    assert (none.status_code, none.content, none.headers["Content-Type"]) == (200, b"", "application/x-ndjson")
    again = api.get(f"{V1}/instruments", headers={"Accept": "application/x-ndjson", "If-None-Match": none["ETag"]})
    assert (again.status_code, again.headers.get("Content-Type")) == (304, None)


def test_an_answer_that_is_known_already_is_not_sent_again(api: Client, alone: Session) -> None:
    member(alone, "NSE:TCS")
    path = f"{V1}/indices/NIFTY 50/members"
    first = api.get(path)
    again = api.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    member(alone, "NSE:INFY")
    assert api.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    short = api.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": "W/" + api.get(path).headers["ETag"]})
    assert short.status_code == 304


def test_a_long_answer_is_compressed_where_that_is_asked_for(api: Client, alone: Session) -> None:
    for number in range(50):
        member(alone, f"NSE:S{number}")
    path = f"{V1}/indices/NIFTY 50/members"
    packed = api.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == api.get(path).content
    known = api.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert known.status_code == 304


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("instruments", {"limit": "0"}, "limit: '0'; valid: a number from 1 to 1000"),
    ("instruments", {"limit": ""}, "limit: ''; valid: a number from 1 to 1000"),
    ("instruments", {"format": ""}, "format: ''; valid: json, csv, ndjson"),
    ("instruments", {"is_active": ""}, "is_active: ''; valid: true or false"),
    ("indices/X/members", {"as_of": ""}, "as_of: ''; valid: a day as YYYY-MM-DD"),
    ("indices/X/members", {"known_at": ""}, "known_at: ''; valid: a moment"),
    ("instruments", {"cursor": "xx"}, "cursor: valid: what a page gave as `next`"),
    ("instruments", {"cursor": "WyJhIl0", "search": "a"}, "cursor: valid: what a page gave as `next`"),
    ("instruments", {"cursor": "WyJcdWQ4MDAiXQ"}, "cursor: valid: what a page gave as `next`"),
    ("instruments", {"cursor": "WyJcdTAwMDAiXQ"}, "cursor: valid: what a page gave as `next`"),
    ("instruments", {"cursor": "Wzk5OTk5OTk5OTk5OSwiYSJd", "search": "a"}, "cursor: valid: what a page gave as `next`"),
    ("instruments", {"is_active": "perhaps"}, "is_active: 'perhaps'; valid: true or false"),
    ("instruments", {"serch": "a"}, "serch: unknown; valid: search, is_active, exchange"),
    ("instruments", {"search": "a\0"}, "search: it has a character that no database takes"),
    ("instruments", {"instrument_type": "shoe"}, "instrument_type: 'shoe'; valid: equity, fund"),
    ("indices/X/members", {"as_of": "2024-02-30"}, "as_of: '2024-02-30'; valid: a day as YYYY-MM-DD"),
    ("indices/X/members", {"as_of": "01/02/2024"}, "as_of: '01/02/2024'; valid: a day as YYYY-MM-DD"),
    ("indices/X/members", {"known_at": "2024-01-01T00:00:00"}, "known_at: '2024-01-01T00:00:00'; valid: a moment"),
    ("indices/X/changes", {"from": "2024-01-01"}, "to: missing; valid: a day"),
    ("indices/X/changes", {"from": "2024-01-02", "to": "2024-01-01"}, "to: 2024-01-01 is before from, 2024-01-02"),
]


def test_a_wrong_parameter_is_refused_in_a_sentence_that_says_what_is_valid(api: Client, alone: Session) -> None:
    for path, query, sentence in WRONG:
        problem = got(api, f"{V1}/{path}", status=400, **query)
        assert problem["detail"].startswith(sentence)
        assert problem["errors"][0]["parameter"] in (*query, "to")


WRONG_QUESTIONS: list[tuple[Any, str]] = [
    ({}, "#/identifiers"),
    ({"identifiers": []}, "#/identifiers"),
    ({"identifiers": ["A"] * 2001}, "#/identifiers"),
    ({"identifiers": ["A"], "as_of": "today"}, "#/as_of"),
    ({"identifiers": ["A"], "asof": "2024-01-01"}, "#/asof"),
    ([1], "#/identifiers"),
]


def test_a_wrong_question_for_identifiers_points_to_what_is_wrong(api: Client) -> None:
    for body, pointer in WRONG_QUESTIONS:
        [error] = posted(api, f"{V1}/instruments/resolve", body, status=400)["errors"]
        assert error["pointer"] == pointer


def test_bodies_that_are_no_json_or_too_large_are_refused(api: Client) -> None:
    def status(body: str) -> int:
        return api.post(f"{V1}/instruments/resolve", body, content_type="application/json").status_code

    assert status("{") == 400
    assert status("[" * 100_000) == 400
    assert status(" " * (16 * 1024 * 1024) + "{}") == 413
    assert api.post(f"{V1}/instruments/resolve", "a=b", content_type="text/plain").status_code == 415
    assert got(api, "/api/v1/nothing", status=404)["detail"].startswith("there is no /api/v1/nothing")
    assert "valid: " in got(api, f"{V1}/changes?kind=", status=400)["detail"]
    for path in ("/api/v1/instruments/A%0AB", "/api/v1/indices/%0A/members", "/screener/%0A"):
        assert got(api, path, status=404)["status"] == 404


def test_who_has_no_key_is_asked_for_one_and_a_viewer_writes_nothing(api: Client, anonymous: Client) -> None:
    for path in (f"{V1}/instruments", f"{V1}/changes", "/screener/api/v1/index-memberships", f"{V1}/nothing"):
        assert anonymous.get(path).status_code == 401
    viewer = consumer("pricing")
    assert viewer.get(f"{V1}/instruments").status_code == 200
    assert posted(viewer, f"{V1}/instruments/resolve", {"identifiers": ["A"]})["not_found"] == 1
    for path in (f"{V1}/index-memberships/bulk", f"{V1}/instruments/bulk", "/screener/api/v1/index-memberships/bulk"):
        posted(viewer, path, {"memberships": []}, status=403)


def test_however_much_there_is_to_tell_the_number_of_queries_is_the_same(api: Client, alone: Session) -> None:
    identifiers = ["NSE:S0", "S1", "US0378331005"]
    calls = {
        "members": lambda: got(api, f"{V1}/indices/NIFTY 50/members"),
        "members of a day": lambda: got(api, f"{V1}/indices/NIFTY 50/members", as_of="2024-06-30"),
        "index changes": lambda: got(
            api, f"{V1}/indices/NIFTY 50/changes", **{"from": "2020-01-01", "to": "2024-01-01"}
        ),
        "memberships": lambda: got(api, f"{V1}/index-memberships", limit=1000),
        "instruments": lambda: got(api, f"{V1}/instruments", limit=1000),
        "search": lambda: got(api, f"{V1}/instruments", search="S", limit=1000),
        "indices": lambda: got(api, f"{V1}/indices"),
        "old contract": lambda: got(api, "/screener/api/v1/index-memberships"),
        "resolve": lambda: posted(api, f"{V1}/instruments/resolve", {"identifiers": identifiers}),
    }
    numbers = []
    for grown in (1, 60):
        for number in range(grown):
            key = f"NSE:S{grown}x{number}"
            instrument(alone, key)
            member(alone, key)
            spell(alone, f"NSE:T{grown}x{number}", "2020-01-02", "2030-01-01")
        identifiers += [f"S{number}" for number in range(grown * 20)]
        numbers.append({name: _queries(call) for name, call in calls.items()})
    assert numbers[0] == numbers[1]
    assert max(numbers[0].values()) <= 4


def _queries(call: Any) -> int:
    registry, screener = (connections[store.alias] for store in (Store.REGISTRY, Store.SCREENER))
    with CaptureQueriesContext(registry) as one, CaptureQueriesContext(screener) as other:
        call()
    return len(one) + len(other)
