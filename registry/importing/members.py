"""Decides about rows of current members. Pure: evidence in, members and rejections out."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from registry.exchanges import EXCHANGES
from registry.importing import checks
from registry.importing.layout import Layout
from registry.importing.listing import Clue, Evidence, Listing, listing
from registry.importing.reading import Rejection, Row

Values = Mapping[str, str]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Member:
    """A row that can be written: who is a member of what, and the non-blank values of both."""

    row: Row
    exchange: str
    symbol: str
    index_id: str
    instrument: Values
    membership: Values

    @property
    def instrument_key(self) -> str:
        """The instrument as ``exchange:symbol``."""
        return f"{self.exchange}:{self.symbol}"


def clue_of(row: Row, index: str | None) -> Clue:
    """What the row says of its listing; an ``index`` given with the import goes before the row's."""
    return Clue(index or row.value("index"), row.value("symbol"), row.value("exchange"))


def decide(
    rows: Iterable[Row], layout: Layout, index: str | None, evidence: Evidence
) -> tuple[list[Member], list[Rejection]]:
    """The members the rows stand for, in their order, and the rows that stand for none."""
    members: dict[tuple[str, str], Member] = {}
    rejections: list[Rejection] = []
    for row in rows:
        decided = _decide(row, layout, clue_of(row, index), evidence)
        if isinstance(decided, Member) and (first := members.get((decided.instrument_key, decided.index_id))):
            decided = Rejection(row, layout.column("symbol"), f"duplicate of line {first.row.line}")
        if isinstance(decided, Member):
            members[(decided.instrument_key, decided.index_id)] = decided
        else:
            rejections.append(decided)
    return list(members.values()), rejections


def merged(described: Iterable[tuple[Key, Values]]) -> dict[Key, Values]:
    """The values of each key: where several descriptions give one, the first wins."""
    found: dict[Key, dict[str, str]] = {}
    for key, values in described:
        known = found.setdefault(key, {})
        known.update({field: value for field, value in values.items() if field not in known})
    return dict(found)


def _decide(row: Row, layout: Layout, clue: Clue, evidence: Evidence) -> Member | Rejection:
    for field, reason in (
        ("index", None if clue.index_id else "missing index"),
        ("symbol", None if clue.symbol else "missing symbol"),
        ("isin", checks.isin_reason(row.value("isin"))),
        ("figi", checks.figi_reason(row.value("figi"))),
        ("currency", checks.currency_reason(row.value("currency"))),
    ):
        if reason:
            return Rejection(row, layout.column(field), reason)
    found = listing(clue, evidence)
    if found is None:
        return Rejection(row, layout.column("exchange"), unknown_exchange(clue))
    return _member(row, clue, found)


def unknown_exchange(clue: Clue) -> str:
    """Why no exchange was found, and what would give one."""
    known = ", ".join(EXCHANGES)
    return f"unknown exchange: index {clue.index_id!r} has no known home; --exchange gives one of {known}"


def _member(row: Row, clue: Clue, found: Listing) -> Member:
    given = {field: row.value(field) for field in ("name", "isin", "figi", "country")}
    given["currency"] = _currency(row, clue, found)
    # The source lists every industry it knows for a company, the first being the one it is filed under.
    sector = row.value("sector").partition("|")[0].strip()
    return Member(
        row=row,
        exchange=found.exchange.code,
        symbol=found.symbol,
        index_id=clue.index_id,
        instrument={field: value for field, value in given.items() if value},
        membership={"sector": sector} if sector else {},
    )


def _currency(row: Row, clue: Clue, found: Listing) -> str:
    # The currency of a row belongs to the listing its exchange field names: a share of New York whose row
    # names its Frankfurt listing is not traded in euros.
    exchange = found.exchange
    ours = clue.exchange.partition(":")[0] in ("", exchange.code)
    return (row.value("currency") if ours else "") or exchange.currency
