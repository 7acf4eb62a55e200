"""Instruments by what people remember of them, and indices."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from registry.models import Instrument
from registry.reading.ask import STATEMENTS, ask, asked
from registry.reading.identifiers import Identifier, Match

#: What is told of an instrument, besides its key.
FIELDS = (
    "symbol",
    "exchange",
    "mic",
    "instrument_type",
    "isin",
    "figi",
    "name",
    "currency",
    "country",
    "lot_size",
    "tick_size",
    "is_active",
)
FILTERS = ("exchange", "symbol", "mic", "isin", "figi", "instrument_type", "currency", "country")
#: Numbers without zeros at their end.
_TOLD = ", ".join(f"trim_scale(found.{name})" if name.endswith("_size") else f"found.{name}" for name in FIELDS)
_TOLD_AS_TEXT = ", ".join(
    f"trim_scale(found.{name})::text AS {name}" if name.endswith("_size") else f"found.{name}" for name in FIELDS
)
TYPES = tuple(Instrument.Type.values)


def search(
    term: str | None,
    filters: Mapping[str, str],
    *,
    is_active: bool | None = None,
    after: tuple[int, str] | None = None,
    limit: int,
) -> list[tuple[int, dict[str, Any]]]:
    """Instruments of the registry with their ranks (0 the likeliest), behind (rank, key); all of the filters hold."""
    escaped = None if term is None else term.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    values: dict[str, Any] = {
        "term": term,
        "begins": None if escaped is None else f"{escaped}%",
        "contains": None if escaped is None else f"%{escaped}%",
        **dict.fromkeys(FILTERS),
        **filters,
        "is_active": is_active,
        "after_rank": after[0] if after else None,
        "after_key": after[1] if after else None,
        "limit": limit,
    }
    return [(rank, _instrument(key, rest)) for rank, key, *rest in ask("search", values, fields=_TOLD)]


def resolve(identifiers: Sequence[Identifier], as_of: dt.date | None = None) -> dict[int, list[Match]]:
    """Number of the identifier (from 0) → the instruments that have it; with `as_of` as recorded when that day ended.

    One statement, however many are asked for. Raises StoreUnreachable, StoreFailed.
    """
    values: dict[str, Any] = {"kinds": [i.kind for i in identifiers], "values": [i.value for i in identifiers]}
    tables = [STATEMENTS["asked"]]
    if as_of is not None:
        values["before"] = dt.datetime.combine(as_of, dt.time(), dt.UTC) + _A_DAY
        tables.append(STATEMENTS["instruments_then"])
    instruments = "instrument_registry.instruments" if as_of is None else "instruments_then"
    query = STATEMENTS["resolve"].format(instruments=instruments, fields=_TOLD_AS_TEXT)
    found: dict[int, list[Match]] = {}
    for number, *match in asked(f"WITH {', '.join(tables)} {query}", values):
        found.setdefault(number - 1, []).append(Match(*match))
    return found


def indices(index_id: str | None = None, *, after: str | None = None, limit: int = 1) -> list[dict[str, Any]]:
    """Indices by their ids, each with how many members it has in the registry now."""
    names = ("index_id", "name", "exchange", "country", "currency", "members")
    values = {"index_id": index_id, "after": after, "limit": limit}
    return [dict(zip(names, row, strict=True)) for row in ask("indices", values)]


_A_DAY = dt.timedelta(days=1)


def _instrument(key: str, rest: Sequence[Any]) -> dict[str, Any]:
    return {"instrument_key": key, **dict(zip(FIELDS, rest, strict=True))}
