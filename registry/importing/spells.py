"""Decides about rows of membership spells. Pure: evidence and stored spells in, spells and rejections out."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from registry.importing.checks import parse_date
from registry.importing.layout import Layout
from registry.importing.listing import Clue, Evidence, listing
from registry.importing.members import unknown_exchange
from registry.importing.reading import Rejection, Row


@dataclass(frozen=True, slots=True)
class Days:
    """The days from ``opt_in`` up to, not including, ``opt_out`` (None: still a member)."""

    opt_in: dt.date
    opt_out: dt.date | None

    def overlaps(self, other: "Days") -> bool:
        """Whether the two share a day."""
        return self._reaches(other) and other._reaches(self)

    def _reaches(self, other: "Days") -> bool:
        return self.opt_out is None or other.opt_in < self.opt_out


@dataclass(frozen=True, slots=True)
class Spell:
    """A row that can be written."""

    row: Row
    instrument_key: str
    days: Days


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a file's rows: spells to write, rows already stored, rows rejected."""

    new: Sequence[Spell]
    unchanged: Sequence[Row]
    rejections: Sequence[Rejection]


def parse(rows: Iterable[Row], layout: Layout, index: str, evidence: Evidence) -> tuple[list[Spell], list[Rejection]]:
    """The spells the rows stand for, before they are compared with each other and with what is stored."""
    parsed = [_parse(row, layout, index, evidence) for row in rows]
    spells = [spell for spell in parsed if isinstance(spell, Spell)]
    return spells, [rejection for rejection in parsed if isinstance(rejection, Rejection)]


def compare(spells: Iterable[Spell], layout: Layout, stored: Mapping[str, Sequence[Days]]) -> Decided:
    """Which spells are new. ``stored`` holds the current spells of this index by instrument key.

    Of rows that overlap each other the first stays.
    """
    kept: dict[str, list[Spell]] = {}
    new: list[Spell] = []
    unchanged: list[Row] = []
    rejections: list[Rejection] = []
    for spell in spells:
        others, existing = kept.setdefault(spell.instrument_key, []), stored.get(spell.instrument_key, ())
        if reason := _conflict(spell, others, existing):
            rejections.append(Rejection(spell.row, layout.column("opt_in"), reason))
            continue
        others.append(spell)
        if spell.days in existing:
            unchanged.append(spell.row)
        else:
            new.append(spell)
    return Decided(new, unchanged, rejections)


def _conflict(spell: Spell, others: Sequence[Spell], existing: Sequence[Days]) -> str | None:
    for other in others:
        if other.days == spell.days:
            return f"duplicate of line {other.row.line}"
        if other.days.overlaps(spell.days):
            return f"overlaps line {other.row.line}"
    overlapping = [days for days in existing if days.overlaps(spell.days) and days != spell.days]
    if overlapping and spell.days not in existing:
        first = overlapping[0]
        return f"overlaps stored spell {first.opt_in} to {first.opt_out or 'now'}"
    return None


def _parse(row: Row, layout: Layout, index: str, evidence: Evidence) -> Spell | Rejection:
    clue = Clue(index, row.value("symbol"), row.value("exchange"))
    if not clue.symbol:
        return Rejection(row, layout.column("symbol"), "missing symbol")
    days = _days(row, layout)
    if isinstance(days, Rejection):
        return days
    found = listing(clue, evidence)
    if found is None:
        return Rejection(row, layout.column("exchange"), unknown_exchange(clue))
    return Spell(row, f"{found.exchange.code}:{found.symbol}", days)


def _days(row: Row, layout: Layout) -> Days | Rejection:
    opt_in, opt_out = row.value("opt_in"), row.value("opt_out")
    first, end = parse_date(opt_in), parse_date(opt_out)
    if not opt_in:
        return Rejection(row, layout.column("opt_in"), "missing opt_in")
    if first is None:
        return Rejection(row, layout.column("opt_in"), f"malformed date: {opt_in}, YYYY-MM-DD wanted")
    if opt_out and end is None:
        return Rejection(row, layout.column("opt_out"), f"malformed date: {opt_out}, YYYY-MM-DD wanted")
    if end is not None and end <= first:
        kind = "empty" if end == first else "inverted"
        return Rejection(row, layout.column("opt_out"), f"{kind} spell: {first} to {end}")
    return Days(first, end)
