"""Digests: what a store has in each bucket of keys, in one snapshot, read part by part where the table is large."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.validation.rows import Rows, blocks
from dualwrite.validation.scope import Scope
from dualwrite.validation.sides import Side, Sides, at_once

#: Rows a bucket should have: with more of them more rows are read for one difference, with fewer the digest is slower.
ROWS_A_BUCKET = 128
FEWEST_BUCKETS, MOST_BUCKETS = 1_024, 65_536
#: All rows in one: enough to see that two stores are equal, and no help where they are not.
ONE = 1
#: Blocks of the first part, 256 MB; the others are made to take so many seconds.
FIRST_BLOCKS = 32_768
PART_SECONDS = 1.5
#: From this version on a range of blocks is read without reading the others.
RANGES_SINCE = 140_000


@dataclass(frozen=True)
class Size:
    """A store's table as a snapshot sees it: about how many rows, in how many blocks."""

    at: datetime
    blocks: int
    rows: int


@dataclass
class Digests:
    """One store's buckets: rows and sums of row hashes by bucket. Sums are exact, and not modulo anything."""

    counts: list[int]
    sums: list[int]
    at: datetime

    @property
    def rows(self) -> int:
        """Rows of the scope in that snapshot."""
        return sum(self.counts)

    @classmethod
    def empty(cls, buckets: int, at: datetime) -> "Digests":
        """Without rows."""
        return cls([0] * buckets, [0] * buckets, at)


def sizes(sides: Sides) -> dict[Store, Size]:
    """Both stores' tables, estimated."""
    return at_once(sides, _size_now)


def _size_now(side: Side) -> Size:
    with side.reading():
        return size(side)


def size(side: Side) -> Size:
    """The table at this instant; within a snapshot, at that of the snapshot."""
    name = projection.table_name(side.stream.side(side.store))
    row = side.session.execute(compose("validation", "size", table_name=name)).fetchone()
    assert row is not None  # noqa: S101 - a table has a size
    return Size(row[0], int(row[1]), max(int(row[2]), 0))


def bucket_count(rows: int) -> int:
    """How many buckets for about so many rows: a power of two, so that the low bits of a hash name one."""
    wanted = max(rows // ROWS_A_BUCKET, 1)
    return min(max(1 << (wanted - 1).bit_length(), FEWEST_BUCKETS), MOST_BUCKETS)


def digest(side: Side, rows: Rows, scope: Scope, buckets: int) -> Digests:
    """The digests of one store."""
    with side.snapshot(), side.session.cursor(binary=True) as cursor:
        table = size(side)
        found = Digests.empty(buckets, table.at)
        for low, high in ranges(_blocks(side, table)):
            within = sql.SQL(" AND ").join([blocks(low, high), rows.of_scope(scope)])
            cursor.execute(rows.digest(buckets, within))
            side.watch.advance(_add(found, cursor.fetchall()))
            side.watch.breathe()
    return found


def _blocks(side: Side, table: Size) -> int:
    return table.blocks if side.session.info.server_version >= RANGES_SINCE else 0


def _add(found: Digests, groups: Iterable[tuple[int, int, str]]) -> int:
    """Add a part to what there is; returns its rows."""
    rows = 0
    for bucket, count, total in groups:
        found.counts[bucket] += count
        found.sums[bucket] += int(total)
        rows += count
    return rows


def ranges(total: int) -> Iterator[tuple[int, int | None]]:
    """Ranges of blocks, each asked for when the one before is done, so that it can be made to take the right time.

    The last is open: whatever else belongs to the table is in it.
    """
    low, step = 0, FIRST_BLOCKS
    while low + step * 1.5 < total:
        began = time.monotonic()
        yield low, low + step
        low += step
        faster = PART_SECONDS / max(time.monotonic() - began, 0.001)
        step = max(int(step * min(max(faster, 0.25), 4)), 1)
    yield low, None


def differing(one: Digests, other: Digests) -> list[int]:
    """Buckets that are not equal."""
    pairs = zip(one.counts, one.sums, other.counts, other.sums, strict=True)
    return [bucket for bucket, (n, a, m, b) in enumerate(pairs) if n != m or a != b]
