"""Merging both stores' rows, each in ascending order of its hashes, to what is not the same. Pure; never all at once.

Rows come in batches. Of both sides as much is taken as both have sent completely, and compared as a whole: only groups
of rows with one key hash in which anything differs are looked at one by one.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Key hash, row hash, key, values as JSON where they are asked for.
Row = tuple[int, int, str, str]
Batches = Iterator[list[Row]]


@dataclass
class Difference:
    """The rows of one key hash that are not the same on both sides: those that one side has and the other does not."""

    hash: int
    one: list[Row] = field(default_factory=list)
    other: list[Row] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The keys of these rows, each once."""
        return list(dict.fromkeys(row[2] for row in (*self.one, *self.other)))


class _Sent:
    """What one side has sent and is not yet compared."""

    def __init__(self, batches: Batches) -> None:
        self._batches, self._rows, self.ended = batches, list[Row](), False

    def read(self) -> None:
        """Take the next batch."""
        batch = next(self._batches, None)
        self.ended = batch is None
        self._rows += batch or []

    @property
    def last(self) -> int | None:
        """The highest key hash that came, whose rows may not all be here yet; None before any came."""
        return self._rows[-1][0] if self._rows else None

    def below(self, limit: int | None) -> list[Row]:
        """Take the rows below this key hash, all when None."""
        end = len(self._rows) if limit is None else bisect_left(self._rows, limit, key=lambda row: row[0])
        taken, self._rows = self._rows[:end], self._rows[end:]
        return taken


def merge(one: Batches, other: Batches) -> Iterator[Difference]:
    """Groups of rows that are not the same on both sides."""
    sides = _Sent(one), _Sent(other)
    for side in sides:
        side.read()
    while any(not side.ended for side in sides):
        ends = [side.last for side in sides if not side.ended]
        known = [end for end in ends if end is not None]
        limit = min(known) if len(known) == len(ends) else None
        if limit is not None:
            yield from _differences(sides[0].below(limit), sides[1].below(limit))
        for side in sides:
            if not side.ended and side.last in (limit, None):
                side.read()
    yield from _differences(sides[0].below(None), sides[1].below(None))


def _differences(ones: list[Row], others: list[Row]) -> list[Difference]:
    if ones == others:
        return []
    one, other = Counter(ones), Counter(others)
    # Whole rows with how often they occur: a pair of equal rows is not taken for a pair of others.
    changed = one.items() ^ other.items()
    groups: dict[int, Difference] = {}
    for row in sorted({row for row, _ in changed}):
        group = groups.setdefault(row[0], Difference(row[0]))
        group.one += [row] * one[row]
        group.other += [row] * other[row]
    return list(groups.values())
