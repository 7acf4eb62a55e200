"""What the stores know already: where symbols are listed, and which indices exist."""

from collections.abc import Iterable

from dualwrite.stages import Store
from dualwrite.stores import present
from registry.exchanges import EXCHANGES, INDICES, Exchange
from registry.importing.database import REGISTRY, SCREENER, chunks, translated
from registry.models import Index, Instrument
from registry.screener.models import ScreenerInstrument


def listings(symbols: Iterable[str]) -> dict[str, frozenset[str]]:
    """The exchanges on which each of the symbols is known, in whichever store."""
    found: dict[str, set[str]] = {}
    for chunk in chunks(symbols):
        for symbol, exchange in (*_in_screener(chunk), *_in_registry(chunk)):
            found.setdefault(symbol or "", set()).add(exchange or "")
    return {symbol: frozenset(exchanges) for symbol, exchanges in found.items()}


def add_indices(index_ids: Iterable[str], option: Exchange | None) -> None:
    """Create the registry's rows of indices that it does not have yet."""
    rows = [_index(index_id, option) for index_id in sorted(set(index_ids))]
    with translated(REGISTRY):
        Index.objects.using(REGISTRY).bulk_create(rows, ignore_conflicts=True)


def _in_screener(symbols: list[str]) -> list[tuple[str | None, str | None]]:
    if Store.SCREENER not in present():
        return []
    with translated(SCREENER):
        rows = ScreenerInstrument.objects.using(SCREENER).filter(symbol__in=symbols)
        return list(rows.values_list("symbol", "exchange"))


def _in_registry(symbols: list[str]) -> list[tuple[str, str]]:
    with translated(REGISTRY):
        rows = Instrument.objects.using(REGISTRY).filter(symbol__in=symbols)
        return list(rows.values_list("symbol", "exchange"))


def _index(index_id: str, option: Exchange | None) -> Index:
    known = INDICES.get(index_id)
    home = EXCHANGES[known.home] if known else option
    country = home.country if home and not (known and known.regional) else None
    return Index(
        index_id=index_id,
        name=index_id,
        exchange=home.code if home else None,
        country=country,
        currency=home.currency if home else None,
    )
