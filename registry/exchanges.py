"""The exchanges and indices the platform knows, and the written rule for the exchange of an imported row.

The exchange of a row is decided in this order; the first that answers wins:

1. the last suffix of the symbol, when known (``SAP.DE`` is ``ETR:SAP``). Known suffixes before it are dropped
too (``AIR.PA.DE`` is ``ETR:AIR``). A share class such as the ``.B`` of ``BRK.B`` is no suffix; 2. the
exchange field, when it names a primary exchange that the index admits and its ticker is the symbol
(``NYSE:MRK``). A bare code counts when it is not the symbol itself: ``ETR`` is also the ticker of Entergy; 3.
for an index that admits several exchanges, the one of them on which the symbol is known: from other rows of
the file (by rule 2, or as a member of an index that admits one exchange only), else from the instruments of
both stores. Exactly one must qualify; 4. the exchange given with the import, else the home exchange of the
index.

A row for which none answers is rejected.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: the platform's code, its MIC, country, trading currency and the suffix of Yahoo symbols.

    A ``secondary`` one mostly lists what has its primary listing elsewhere, so it never decides an exchange
    field.
    """

    code: str
    mic: str
    country: str
    currency: str
    suffix: str | None = None
    secondary: bool = False
    dotted_classes: bool = False


@dataclass(frozen=True, slots=True)
class KnownIndex:
    """An index: its home exchange and, when its rules name them, the exchanges it ``admits`` members of.

    A ``regional`` one has members of several countries, so its home exchange says nothing of its country.
    """

    index_id: str
    home: str
    admits: frozenset[str] = frozenset()
    regional: bool = False


EXCHANGES: Mapping[str, Exchange] = {
    exchange.code: exchange
    for exchange in (
        Exchange("ETR", "XETR", "Germany", "EUR", "DE"),
        Exchange("LON", "XLON", "United Kingdom", "GBP", "L"),
        Exchange("EPA", "XPAR", "France", "EUR", "PA"),
        Exchange("AMS", "XAMS", "Netherlands", "EUR", "AS"),
        Exchange("EBR", "XBRU", "Belgium", "EUR", "BR"),
        Exchange("STO", "XSTO", "Sweden", "SEK", "ST"),
        Exchange("HEL", "XHEL", "Finland", "EUR", "HE"),
        Exchange("SWX", "XSWX", "Switzerland", "CHF", "SW"),
        Exchange("BIT", "XMIL", "Italy", "EUR", "MI"),
        Exchange("BME", "XMAD", "Spain", "EUR", "MC"),
        Exchange("NYSE", "XNYS", "United States", "USD", dotted_classes=True),
        Exchange("NASDAQ", "XNAS", "United States", "USD", dotted_classes=True),
        Exchange("FRA", "XFRA", "Germany", "EUR", "F", secondary=True),
        Exchange("OTCMKTS", "OTCM", "United States", "USD", secondary=True),
        Exchange("NSE", "XNSE", "India", "INR", "NS"),
        Exchange("BSE", "XBOM", "India", "INR", "BO"),
    )
}
BY_SUFFIX: Mapping[str, Exchange] = {e.suffix: e for e in EXCHANGES.values() if e.suffix}

_UNITED_STATES = frozenset({"NYSE", "NASDAQ"})
INDICES: Mapping[str, KnownIndex] = {
    index.index_id: index
    for index in (
        KnownIndex("AEX", "AMS"),
        KnownIndex("BEL 20", "EBR"),
        KnownIndex("CAC Mid 60", "EPA"),
        KnownIndex("CAC_40", "EPA"),
        KnownIndex("DAX", "ETR"),
        KnownIndex("DOW JONES", "NYSE", _UNITED_STATES),
        KnownIndex("EURO STOXX 50", "ETR", regional=True),
        KnownIndex("FTSE 100", "LON"),
        KnownIndex("MDAX", "ETR"),
        KnownIndex("NASDAQ 100", "NASDAQ", frozenset({"NASDAQ"})),
        KnownIndex("NIFTY 50", "NSE"),
        KnownIndex("OMX Helsinki 25", "HEL"),
        KnownIndex("OMX Stockholm 30", "STO"),
        KnownIndex("S&P 100", "NYSE", _UNITED_STATES),
        KnownIndex("S&P 500", "NYSE", _UNITED_STATES),
        KnownIndex("SDAX", "ETR"),
        KnownIndex("Switzerland 20", "SWX"),
        KnownIndex("TecDAX", "ETR"),
    )
}


def split_suffix(symbol: str) -> tuple[str, Exchange | None]:
    """Rule 1: the symbol without its known suffixes, and the exchange of the last one."""
    bare, exchange = symbol, None
    while "." in bare and bare.rpartition(".")[2] in BY_SUFFIX:
        bare, _, suffix = bare.rpartition(".")
        exchange = exchange or BY_SUFFIX[suffix]
    return bare, exchange


def spell_class(symbol: str, exchange: Exchange | None) -> str:
    """The symbol with its share class as the exchange writes it: ``BRK-B`` is ``BRK.B`` in New York."""
    if exchange is not None and exchange.dotted_classes:
        return re.sub(r"-([A-Z])$", r".\1", symbol)
    return symbol


def named_exchange(field: str, symbol: str, index: KnownIndex | None) -> Exchange | None:
    """Rule 2: the primary exchange an exchange field (``NYSE:MRK`` or ``NYSE``) names for this symbol."""
    code, colon, ticker = field.partition(":")
    exchange = EXCHANGES.get(code)
    if exchange is None or exchange.secondary or (index and index.admits and code not in index.admits):
        return None
    if not colon:
        return exchange if code != symbol else None
    same = spell_class(ticker, exchange) == spell_class(symbol, exchange)
    return exchange if same else None


def only_one(known: frozenset[str], index: KnownIndex | None) -> Exchange | None:
    """Rule 3: the one exchange that the index admits among those a symbol is known on."""
    if index is None or len(index.admits) < 2:
        return None
    qualifying = known & index.admits
    return EXCHANGES[next(iter(qualifying))] if len(qualifying) == 1 else None
