"""The written rule for the exchange of an imported row."""

import pytest

from registry.exchanges import BY_SUFFIX, EXCHANGES, INDICES
from registry.importing.listing import Clue, Evidence, gather, listing, wanted

NOTHING = Evidence()


def key(clue: Clue, evidence: Evidence = NOTHING) -> str | None:
    found = listing(clue, evidence)
    return f"{found.exchange.code}:{found.symbol}" if found else None


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("SAP.DE", "ETR:SAP"),
        ("AIR.PA.DE", "ETR:AIR"),
        ("BT-A.L", "LON:BT-A"),
        ("NDA-SE.ST", "STO:NDA-SE"),
        ("RELIANCE.NS", "NSE:RELIANCE"),
    ],
)
def test_the_last_known_suffix_decides_and_all_of_them_are_dropped(symbol: str, expected: str) -> None:
    assert key(Clue("DAX", symbol, "FRA:XYZ")) == expected


def test_a_suffix_goes_before_the_exchange_field() -> None:
    assert key(Clue("EURO STOXX 50", "STM.PA", "NYSE:STM")) == "EPA:STM"


@pytest.mark.parametrize("symbol", ["BRK.B", "BRK-B"])
def test_a_share_class_is_no_suffix_and_is_written_with_a_dot(symbol: str) -> None:
    assert key(Clue("S&P 500", symbol, "")) == "NYSE:BRK.B"


def test_a_share_class_of_another_country_keeps_its_dash() -> None:
    assert key(Clue("OMX Stockholm 30", "VOLV-B", "")) == "STO:VOLV-B"


def test_the_exchange_field_decides_when_its_ticker_is_the_symbol() -> None:
    assert key(Clue("S&P 100", "META", "NASDAQ:META")) == "NASDAQ:META"


@pytest.mark.parametrize("field", ["FRA:1N8", "FRA:META", "OTCMKTS:META", "NASDAQ:FB", "META", "XYZ:META"])
def test_a_field_of_a_secondary_line_or_another_ticker_does_not_decide(field: str) -> None:
    assert key(Clue("S&P 100", "META", field)) == "NYSE:META"


def test_a_bare_code_decides_unless_it_is_the_symbol_itself() -> None:
    assert key(Clue("S&P 500", "CSCO", "NASDAQ")) == "NASDAQ:CSCO"
    assert key(Clue("MY INDEX", "ETR", "ETR"), Evidence(option=EXCHANGES["NYSE"])) == "NYSE:ETR"


def test_a_field_naming_an_exchange_the_index_does_not_admit_is_ignored() -> None:
    assert key(Clue("NASDAQ 100", "ARM", "LON:ARM")) == "NASDAQ:ARM"


def test_other_rows_of_the_file_tell_where_a_symbol_is_listed() -> None:
    rows = [Clue("NASDAQ 100", "AAPL", "FRA:APC"), Clue("S&P 100", "PEP", "NASDAQ:PEP")]
    evidence = Evidence(here=gather(rows))
    assert key(Clue("S&P 500", "AAPL", "AAPL"), evidence) == "NASDAQ:AAPL"
    assert key(Clue("DOW JONES", "PEP", ""), evidence) == "NASDAQ:PEP"
    assert key(Clue("S&P 500", "IBM", ""), evidence) == "NYSE:IBM"


def test_the_file_goes_before_the_stores_and_the_stores_before_the_home_exchange() -> None:
    stored = {"AAPL": frozenset({"NASDAQ", "LON"}), "X": frozenset({"NASDAQ"})}
    evidence = Evidence(here={"X": frozenset({"NYSE"})}, stored=stored, option=None)
    assert key(Clue("S&P 500", "AAPL", ""), evidence) == "NASDAQ:AAPL"
    assert key(Clue("S&P 500", "X", ""), evidence) == "NYSE:X"


def test_a_symbol_known_on_both_exchanges_decides_nothing() -> None:
    both = {"X": frozenset({"NYSE", "NASDAQ"})}
    assert key(Clue("S&P 500", "X", ""), Evidence(stored=both)) == "NYSE:X"
    nasdaq = Evidence(here=both, stored={"X": frozenset({"NASDAQ"})})
    assert key(Clue("S&P 500", "X", ""), nasdaq) == "NASDAQ:X"


def test_knowledge_of_a_symbol_does_not_decide_for_an_index_of_one_exchange() -> None:
    assert key(Clue("DAX", "BA", ""), Evidence(stored={"BA": frozenset({"LON"})})) == "ETR:BA"


def test_the_option_goes_before_the_home_exchange() -> None:
    assert key(Clue("DAX", "SAP", ""), Evidence(option=EXCHANGES["LON"])) == "LON:SAP"


def test_nothing_answers_for_an_unknown_index_without_option() -> None:
    assert key(Clue("MY INDEX", "SAP", "FRA:SAP")) is None


def test_only_symbols_of_indices_with_several_exchanges_are_looked_up() -> None:
    assert wanted([Clue("DAX", "SAP", ""), Clue("S&P 500", "BRK-B", "")]) == {"BRK.B"}


def test_every_index_refers_to_exchanges_that_exist_and_suffixes_are_unique() -> None:
    for index in INDICES.values():
        assert {index.home} | index.admits <= EXCHANGES.keys()
        assert not index.admits or index.home in index.admits
    assert len(BY_SUFFIX) == sum(1 for exchange in EXCHANGES.values() if exchange.suffix)
