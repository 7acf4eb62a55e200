"""From buckets that differ to keys that may: the rows of these buckets, from both stores at once, in one order, merged.

The keys are candidates and nothing more: the two snapshots are not of the same instant.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from psycopg import ServerCursor, sql

from dualwrite.stages import Store
from dualwrite.stream import split_keyless
from dualwrite.validation.merge import Batches, Difference, Row, merge
from dualwrite.validation.rows import ALL, Rows, digest_of_rows, in_order
from dualwrite.validation.scope import Scope
from dualwrite.validation.sides import Side, Sides, at_once
from dualwrite.validation.tolerance import Rule, Values

Cursor: TypeAlias = "ServerCursor[tuple[Any, ...]]"
#: Where more of the buckets differ, all rows are read instead of picking theirs.
MOST_DIFFERING = 0.2
#: Named keys looked up by one statement.
KEYS_A_STATEMENT = 10_000


@dataclass(frozen=True)
class Drill:
    """How the rows of a comparison are read: from these sides, as these rows, held together by this rule."""

    sides: Sides
    rows: dict[Store, Rows]
    rule: Rule

    def candidates(self, scope: Scope, buckets: int, differing: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
        """Keys of these buckets that may differ, with their hash, in its order."""
        statements = {}
        for store, rows in self.rows.items():
            few = len(differing) <= buckets * MOST_DIFFERING
            parts = [rows.of_scope(scope), rows.in_buckets(buckets, differing) if few else ALL]
            statements[store] = rows.hashed(sql.SQL(" AND ").join(parts), with_values=self._tolerates)
        return self._candidates(statements, Counter())

    def named(self, scope: Scope) -> "Iterator[tuple[Counter[Store], list[str]]]":
        """Rows of the named keys outside of the scope's slice, and which of these keys may differ, some at a time."""
        for start in range(0, len(scope.named), KEYS_A_STATEMENT):
            keys = scope.named[start : start + KEYS_A_STATEMENT]
            for some, by_key_text in zip(split_keyless(keys), (False, True), strict=True):
                if some:
                    yield self._looked_up(scope, some, by_key_text=by_key_text)

    def _looked_up(self, scope: Scope, keys: Sequence[str], *, by_key_text: bool) -> "tuple[Counter[Store], list[str]]":
        """First as one sum, as the stores are looked at: most keys are equal, and to send their rows takes longer."""
        statements = {
            store: rows.hashed_of_keys(keys, rows.outside(scope), by_key_text=by_key_text, with_values=self._tolerates)
            for store, rows in self.rows.items()
        }
        found = at_once(self.sides, lambda side: _summed(side, statements[side.store]))
        counts: Counter[Store] = Counter()
        if len(set(found.values())) == 1:
            for store, side in self.sides.items():
                counts[store] = found[store][0]
                side.watch.advance(counts[store])
            return counts, []
        ordered = {store: in_order(rows) for store, rows in statements.items()}
        return counts, [key for _, some in self._candidates(ordered, counts) for key in some]

    def _candidates(
        self, statements: Mapping[Store, sql.Composed], counts: "Counter[Store]"
    ) -> Iterator[tuple[int, list[str]]]:
        """What differs between the rows of these statements; counts them by store."""
        with ExitStack() as stack:
            cursors = {store: stack.enter_context(_cursor(side)) for store, side in self.sides.items()}
            first = at_once(self.sides, lambda side: _first(side, cursors[side.store], statements[side.store]))
            one, other = (_batches(self.sides[store], cursors[store], first[store], counts) for store in Store)
            for difference in merge(one, other):
                if keys := self._differing(difference):
                    yield difference.hash, keys

    @property
    def _tolerates(self) -> bool:
        return self.rule.tolerance is not None

    def _differing(self, difference: Difference) -> list[str]:
        """The keys of a group that differ by the rule; without a tolerance, or of too many rows, all of them do."""
        if not self._tolerates or difference.is_large:
            return difference.keys
        return [k for k in difference.keys if not self.rule.agree(_of(k, difference.one), _of(k, difference.other))]


def _summed(side: Side, rows: sql.Composed) -> tuple[int, str]:
    """How many rows, and the sum of their hashes."""
    with side.snapshot():
        found = side.session.execute(digest_of_rows(rows)).fetchone()
    assert found is not None  # noqa: S101 - there is always a sum
    return found[0], found[1]


def _of(key: str, rows: Sequence[Row]) -> list[Values]:
    return [tuple(json.loads(row[3])) for row in rows if row[2] == key]


@contextmanager
def _cursor(side: Side) -> Iterator[Cursor]:
    """A cursor of the server, so that memory does not grow with the rows."""
    with side.snapshot(), side.session.cursor("validation", binary=True) as cursor:
        yield cursor


def _first(side: Side, cursor: Cursor, query: sql.Composed) -> list[Row]:
    """The first rows: to sort them takes its time, on both servers at once."""
    with side.reading():
        cursor.execute(query)
        return cursor.fetchmany(side.watch.batch_size)


def _batches(side: Side, cursor: Cursor, batch: list[Row], counts: "Counter[Store]") -> Batches:
    while batch:
        counts[side.store] += len(batch)
        side.watch.advance(len(batch))
        yield batch
        with side.reading():
            batch = cursor.fetchmany(side.watch.batch_size)
