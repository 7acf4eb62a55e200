"""Memberships through time: who was a member when, as known then or now."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from registry.reading.ask import STATEMENTS, ask, known


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an index on a day: since when, and until which day, that one not included (None: still)."""

    instrument_key: str
    name: str | None
    isin: str | None
    since: dt.date
    until: dt.date | None


@dataclass(frozen=True, slots=True)
class Membership:
    """A spell of an instrument in an index; weight and sector as they are now, of a spell without an end."""

    index_id: str
    since: dt.date
    until: dt.date | None
    source: str
    recorded_at: dt.datetime
    weight: Decimal | None
    sector: str | None


@dataclass(frozen=True)
class Reweighted:
    """A member whose weight (in percent) was recorded otherwise."""

    instrument_key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class IndexChanges:
    """What happened to an index: (instrument, day) that joined and left, and weights that changed since a moment."""

    joined: list[tuple[str, dt.date]]
    left: list[tuple[str, dt.date]]
    reweighted: list[Reweighted]
    weights_since: dt.datetime


def members(index_id: str, as_of: dt.date, known_at: dt.datetime | None = None) -> list[Member] | None:
    """The members on that day by instrument key, as known at that time (aware; None: now); None: no such index.

    Raises StoreUnreachable, StoreFailed.
    """
    values = {"index_id": index_id, "as_of": as_of, "known_at": known_at}
    *rows, (*_, exists) = ask("members", values, known=known(known_at))
    return [Member(*row[:5]) for row in rows] if exists else None


def spells_of(instrument_key: str, known_at: dt.datetime | None = None) -> list[Membership]:
    """The spells of an instrument in every index, by index and day, as known at that time."""
    values = {"instrument_key": instrument_key, "known_at": known_at}
    return [Membership(*row) for row in ask("spells_of", values, known=known(known_at))]


def index_changes(
    index_id: str, first: dt.date, last: dt.date, known_at: dt.datetime | None = None
) -> IndexChanges | None:
    """What happened to an index after the first day and until the last one; None: no such index.

    Weights are those recorded at the end of both days (UTC). They are known as long as changes are kept; where the
    first day is older, they are compared with the oldest known, and `weights_since` says when that was.
    """
    values = {"index_id": index_id, "first": first, "last": last, "known_at": known_at}
    rows = ask("index_changes", values, known=known(known_at))
    if not any(kind == "known" for kind, _, _ in rows):
        return None
    ends = {"first_end": _end_of(first), "last_end": _end_of(last)}
    *weights, (_, _, _, since) = ask(
        "reweighted", {"index_id": index_id, **ends}, known_since=STATEMENTS["known_since"]
    )
    return IndexChanges(
        joined=[(key, day) for kind, key, day in rows if kind == "joined"],
        left=[(key, day) for kind, key, day in rows if kind == "left"],
        reweighted=[Reweighted(*row[:3]) for row in weights],
        weights_since=since,
    )


def _end_of(day: dt.date) -> dt.datetime:
    """The moment at which the day is over (UTC); the last one of the calendar ends a second early."""
    begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    return begins + (dt.timedelta(days=1) if day < dt.date.max else dt.timedelta(seconds=86_399))
