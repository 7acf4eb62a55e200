"""Merging both stores' rows, each in ascending order of its hashes, to what is not the same. Pure; never all at once.

Rows come in batches. Of both sides as much is taken as both have sent completely, and compared as a whole: only groups
of rows with one key hash in which anything differs are looked at one by one.

How much is held does not grow with the rows, nor with those of one key: rows of one place, which have both hashes
alike, are counted instead of kept, and of a key that differs only the first are kept.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Key hash, row hash, key, values as JSON where they are asked for.
Row = tuple[int, int, str, str]
Batches = Iterator[list[Row]]
Place = tuple[int, int]
#: So many rows of one key are held against each other one by one, where not every difference counts; more are not.
ONE_BY_ONE = 100


@dataclass
class Difference:
    """The rows of one key hash that are not the same on both sides: those that one side has and the other does not.

    `keys`: the keys of these rows, each once. Of each side at most one row more than `ONE_BY_ONE` is kept.
    """

    hash: int
    one: list[Row] = field(default_factory=list)
    other: list[Row] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def is_large(self) -> bool:
        """Whether there may be more rows than are kept."""
        return max(len(self.one), len(self.other)) > ONE_BY_ONE

    def add(self, row: Row, times: int, times_there: int) -> None:
        """A row that one side has so many times, and the other one so many."""
        for kept, count in ((self.one, times), (self.other, times_there)):
            kept += [row] * min(count, ONE_BY_ONE + 1 - len(kept))
        if row[2] not in self.keys:
            self.keys.append(row[2])


@dataclass
class _Taken:
    """Rows in order, and those of the first place by how often they came, where they were too many to be kept."""

    rows: list[Row]
    pressed: "Counter[Row]"

    def counted(self) -> "Counter[Row]":
        """Each row with how often it occurs."""
        found = Counter(self.rows)
        found.update(self.pressed)
        return found


class _Sent:
    """What one side has sent and is not yet compared."""

    def __init__(self, batches: Batches) -> None:
        self._batches, self._rows, self.ended = batches, list[Row](), False
        self._pressed: Counter[Row] = Counter()
        #: The highest place that came, whose rows may not all be here yet; None before any came.
        self.last: Place | None = None

    def read(self) -> None:
        """Take the next batch. What is left of those before is of one place: it waited for the rest of it."""
        batch = next(self._batches, None)
        self.ended = batch is None
        if len(self._rows) > ONE_BY_ONE:
            self._pressed.update(self._rows)
            self._rows = []
        self._rows += batch or []
        self.last = _place(self._rows[-1]) if self._rows else self.last

    def below(self, limit: Place | None) -> _Taken:
        """Take the rows below this place, all when None."""
        end = len(self._rows) if limit is None else bisect_left(self._rows, limit, key=_place)
        pressed: Counter[Row] = Counter()
        if self._pressed and (limit is None or _place(next(iter(self._pressed))) < limit):
            pressed, self._pressed = self._pressed, pressed
        taken, self._rows = self._rows[:end], self._rows[end:]
        return _Taken(taken, pressed)


def _place(row: Row) -> Place:
    return row[:2]


def merge(one: Batches, other: Batches) -> Iterator[Difference]:
    """Groups of rows that are not the same on both sides, one for each key hash."""
    group: Difference | None = None
    for row, times, times_there in _changed(one, other):
        if group is None or group.hash != row[0]:
            if group is not None:
                yield group
            group = Difference(row[0])
        group.add(row, times, times_there)
    if group is not None:
        yield group


def _changed(one: Batches, other: Batches) -> "Iterator[tuple[Row, int, int]]":
    """Rows that are not as often on one side as on the other, in order, and how often they are on each."""
    sides = _Sent(one), _Sent(other)
    for side in sides:
        side.read()
    while any(not side.ended for side in sides):
        ends = [side.last for side in sides if not side.ended]
        known = [end for end in ends if end is not None]
        limit = min(known) if len(known) == len(ends) else None
        if limit is not None:
            yield from _unlike(sides[0].below(limit), sides[1].below(limit))
        for side in sides:
            if not side.ended and side.last in (limit, None):
                side.read()
    yield from _unlike(sides[0].below(None), sides[1].below(None))


def _unlike(ones: _Taken, others: _Taken) -> "list[tuple[Row, int, int]]":
    if ones == others:
        return []
    one, other = ones.counted(), others.counted()
    # Whole rows with how often they occur: a pair of equal rows is not taken for a pair of others.
    changed = one.items() ^ other.items()
    return [(row, one[row], other[row]) for row in sorted({row for row, _ in changed})]
