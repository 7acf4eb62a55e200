"""The rules of the registry's tables hold for raw SQL."""

import datetime as dt

import pytest
from django.db import DataError, IntegrityError, transaction

from registry import pointintime
from registry.exchanges import EXCHANGES
from tests.integration.domain import domain, sql

__all__ = ["domain"]
pytestmark = pytest.mark.usefixtures("domain")

INSTRUMENT = "INSERT INTO instruments (instrument_key, symbol, exchange, {}) VALUES ('NSE:A', 'A', 'NSE', %s)"
MEMBERSHIP = "INSERT INTO index_memberships (instrument_key, index_id, {}) VALUES ('NSE:A', 'I', %s)"
HISTORY = "INSERT INTO index_membership_history (instrument_key, index_id, spell, {}source)"
SPELL = HISTORY.format("") + " VALUES (%s, %s, %s, 't')"


def refuses(rule: str, statement: str, *parameters: object) -> None:
    with pytest.raises((IntegrityError, DataError), match=rule), transaction.atomic():
        sql(statement, *parameters)


@pytest.mark.parametrize(
    ("key", "symbol", "exchange", "rule"),
    [
        ("NSE:B", "A", "NSE", "key_is_exchange_and_symbol"),
        ("nse:A", "A", "nse", "exchange_format"),
        ("N:S:A", "A", "N:S", "exchange_format"),
        (":A", "A", "", "exchange_format"),
        ("NSE:", "", "NSE", "symbol_format"),
        ("NSE: A", " A", "NSE", "symbol_format"),
        ("NSE:A ", "A ", "NSE", "symbol_format"),
        ("NSE:A\nB", "A\nB", "NSE", "symbol_format"),
    ],
)
def test_a_malformed_key_is_refused(key: str, symbol: str, exchange: str, rule: str) -> None:
    statement = "INSERT INTO instruments (instrument_key, symbol, exchange) VALUES (%s, %s, %s)"
    refuses(rule, statement, key, symbol, exchange)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mic", "XNS"),
        ("mic", "xnse"),
        ("isin", "DE000716460"),
        ("isin", "DE000716460X"),
        ("figi", "AAG000BLNNH6"),
        ("figi", "BBG000BLNNH"),
        ("currency", "eur"),
        ("currency", ""),
        ("currency", "EUR\n"),
        ("lot_size", 0),
        ("tick_size", -1),
        ("instrument_type", "stock"),
    ],
)
def test_a_malformed_value_of_an_instrument_is_refused(column: str, value: object) -> None:
    refuses(f"instruments_{column.removeprefix('instrument_')}_", INSTRUMENT.format(column), value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("isin", "DE0007164600"),
        ("figi", "BBG000BLNNH6"),
        ("country", ""),
        ("name", None),
        ("currency", None),
        ("lot_size", "0.000001"),
    ],
)
def test_a_well_formed_or_unknown_value_is_kept_as_it_is(column: str, value: object) -> None:
    sql(INSTRUMENT.format(column), value)
    assert sql(f"SELECT {column} IS NOT DISTINCT FROM %s FROM instruments", value)  # noqa: S608 - a name above == [(True,)]


@pytest.mark.parametrize(("column", "value"), [("weight", -1), ("weight", "100.000001"), ("date_added", "infinity")])
def test_a_membership_out_of_range_is_refused(column: str, value: object) -> None:
    refuses(f"index_memberships_{column}_range", MEMBERSHIP.format(column), value)


@pytest.mark.parametrize(("key", "index"), [("NSEA", "I"), ("NSE:A", ""), ("NSE:A", " I"), (":A", "I")])
def test_a_membership_with_a_malformed_key_is_refused(key: str, index: str) -> None:
    refuses("_format", "INSERT INTO index_memberships (instrument_key, index_id) VALUES (%s, %s)", key, index)


def test_a_membership_is_unique() -> None:
    sql(MEMBERSHIP.format("weight"), 1)
    refuses("index_memberships_key", MEMBERSHIP.format("weight"), 2)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("instruments", "instrument_key = 'NSE:B', symbol = 'B'"),
        ("indices", "index_id = 'J'"),
        ("index_memberships", "instrument_key = 'NSE:B'"),
        ("index_memberships", "index_id = 'J'"),
        ("index_memberships", "id = 77"),
    ],
)
def test_a_key_cannot_be_changed(table: str, change: str) -> None:
    sql(INSTRUMENT.format("name"), "x")
    sql(MEMBERSHIP.format("weight"), 1)
    sql("INSERT INTO indices (index_id) VALUES ('I')")
    refuses("cannot be changed", f"UPDATE {table} SET {change}")  # noqa: S608 - names above


def test_the_mic_is_that_of_the_exchange_unless_given() -> None:
    sql(INSTRUMENT.format("mic"), None)
    assert sql("SELECT mic FROM instruments") == [("XNSE",)]
    sql("UPDATE instruments SET mic = 'XBOM'")
    assert sql("SELECT mic FROM instruments") == [("XBOM",)]


def test_the_database_and_the_code_know_the_same_mics() -> None:
    for exchange in EXCHANGES.values():
        assert sql("SELECT mic_of_exchange_v1(%s)", exchange.code) == [(exchange.mic,)]
    assert sql("SELECT mic_of_exchange_v1('NOWHERE')") == [(None,)]


def test_the_rules_hold_for_a_writer_with_another_search_path() -> None:
    sql("SET LOCAL search_path = pg_catalog")
    for table, row in (
        ("instruments (instrument_key, symbol, exchange)", ("ETR:A", "A", "ETR")),
        ("index_memberships (instrument_key, index_id, sector)", ("ETR:A", "DAX", None)),
    ):
        sql(f"INSERT INTO instrument_registry.{table} VALUES (%s, %s, %s)", *row)  # noqa: S608 - names above
    assert sql("SELECT mic FROM instrument_registry.instruments") == [("XETR",)]
    assert sql("SELECT count(*) FROM instrument_registry.index_membership_history") == [(1,)]


def test_updated_at_moves_only_with_a_change() -> None:
    sql(INSTRUMENT.format("updated_at"), dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    sql("UPDATE instruments SET name = name")
    assert sql("SELECT updated_at < '2001-01-01' FROM instruments") == [(True,)]
    sql("UPDATE instruments SET name = 'x'")
    assert sql("SELECT updated_at = now() FROM instruments") == [(True,)]


@pytest.mark.parametrize("spell", ["empty", "(,2000-01-01)"])
def test_a_spell_without_beginning_is_refused(spell: str) -> None:
    refuses("spell_begins", SPELL, "NSE:A", "I", spell)


def test_current_spells_may_touch_but_not_overlap_and_superseded_ones_may() -> None:
    sql(SPELL, "NSE:A", "I", "[2000-01-01,2005-01-01)")
    sql(SPELL, "NSE:A", "I", "[2005-01-01,)")
    sql(SPELL, "NSE:A", "J", "[2000-01-01,)")
    refuses("no_overlap", SPELL, "NSE:A", "I", "[2004-12-31,2005-01-01)")
    sql("UPDATE index_membership_history SET superseded_at = now()")
    sql(SPELL, "NSE:A", "I", "[2004-12-31,2005-01-01)")


@pytest.mark.parametrize(
    "change", ["spell = '[2001-01-01,)'", "source = 'x'", "recorded_at = now() - interval '1 day'"]
)
def test_a_version_of_a_spell_is_never_rewritten(change: str) -> None:
    sql(SPELL, "NSE:A", "I", "[2000-01-01,)")
    refuses("never rewritten", f"UPDATE index_membership_history SET {change}")  # noqa: S608 - names above


def test_a_superseded_version_stays_superseded() -> None:
    sql(SPELL, "NSE:A", "I", "[2000-01-01,)")
    refuses("superseded_later", "UPDATE index_membership_history SET superseded_at = '2000-01-01'")
    sql("UPDATE index_membership_history SET superseded_at = now()")
    refuses("never rewritten", "UPDATE index_membership_history SET superseded_at = NULL")


def test_members_are_those_of_the_day_as_known_then() -> None:
    insert = HISTORY.format("recorded_at, superseded_at, ")
    for row in (
        ("NSE:OLD", "[2000-01-01,2010-01-01)", "2020-01-01", None),
        ("NSE:WRONG", "[2000-01-01,)", "2020-01-01", "2021-01-01"),
        ("NSE:LATE", "[2000-01-01,)", "2021-01-01", None),
    ):
        sql(f"{insert} VALUES (%s, 'I', %s, %s, %s, 't')", *row)

    def keys(day: str, known: str | None = None) -> list[str]:
        known_at = dt.datetime.fromisoformat(known).replace(tzinfo=dt.UTC) if known else None
        found = pointintime.members("I", dt.date.fromisoformat(day), known_at)
        return list(found.values_list("instrument_key", flat=True))

    assert keys("2005-01-01") == ["NSE:LATE", "NSE:OLD"]
    assert keys("2010-01-01") == ["NSE:LATE"]
    assert keys("1999-12-31") == []
    assert keys("2005-01-01", "2020-06-01") == ["NSE:OLD", "NSE:WRONG"]
    assert keys("2005-01-01", "2021-01-01") == ["NSE:LATE", "NSE:OLD"]
    assert keys("2005-01-01", "2019-12-31") == []
