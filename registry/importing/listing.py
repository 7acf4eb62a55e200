"""Decides exchange and symbol of a row by the rule written in ``registry.exchanges``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from registry.exchanges import (
    EXCHANGES,
    INDICES,
    Exchange,
    KnownIndex,
    named_exchange,
    only_one,
    spell_class,
    split_suffix,
)

Known = Mapping[str, frozenset[str]]
"""Symbol -> the codes of the exchanges it is known on."""


@dataclass(frozen=True, slots=True)
class Clue:
    """What a row says about its listing: the index it belongs to, its symbol and its exchange field."""

    index_id: str
    symbol: str
    exchange: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Where an instrument is listed, and under which symbol."""

    exchange: Exchange
    symbol: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What decides when a row does not: the file's other rows, both stores, the option of the import."""

    here: Known = field(default_factory=dict)
    stored: Known = field(default_factory=dict)
    option: Exchange | None = None


def listing(clue: Clue, evidence: Evidence) -> Listing | None:
    """The listing of a row; None when no rule answers or nothing is left of the symbol."""
    index = INDICES.get(clue.index_id)
    symbol, by_suffix = split_suffix(clue.symbol)
    home = evidence.option or (EXCHANGES[index.home] if index else None)
    known = spell_class(symbol, home)
    exchange = (
        by_suffix
        or named_exchange(clue.exchange, symbol, index)
        or only_one(evidence.here.get(known, frozenset()), index)
        or only_one(evidence.stored.get(known, frozenset()), index)
        or home
    )
    return Listing(exchange, spell_class(symbol, exchange)) if exchange and symbol else None


def gather(clues: Iterable[Clue]) -> Known:
    """What the rows of one file say about where symbols are listed, as rule 3 may use it."""
    found: dict[str, set[str]] = {}
    for clue in clues:
        if exchange := _certain(clue, INDICES.get(clue.index_id)):
            found.setdefault(spell_class(clue.symbol, exchange), set()).add(exchange.code)
    return {symbol: frozenset(codes) for symbol, codes in found.items()}


def wanted(clues: Iterable[Clue]) -> set[str]:
    """The symbols whose listing may have to be looked up in the stores."""
    found = set()
    for clue in clues:
        index = INDICES.get(clue.index_id)
        if index and len(index.admits) > 1:
            found.add(spell_class(clue.symbol, EXCHANGES[index.home]))
    return found


def _certain(clue: Clue, index: KnownIndex | None) -> Exchange | None:
    if index and len(index.admits) == 1:
        return EXCHANGES[next(iter(index.admits))]
    return named_exchange(clue.exchange, clue.symbol, index)
