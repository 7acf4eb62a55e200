"""Finding candidates: keys whose records were not equal in two snapshots taken at about the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dualwrite.stages import Store
from dualwrite.stores import dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.validation import rows

BUCKETS = 4096
FETCH = 5_000


@dataclass(frozen=True)
class Digests:
    """One store's buckets: bucket → (rows, digest)."""

    buckets: dict[int, tuple[int, int]]

    @property
    def rows(self) -> int:
        """Rows of the store in that snapshot."""
        return sum(count for count, _ in self.buckets.values())


def digests(stream: Stream) -> dict[Store, Digests]:
    """Both stores' digests, computed side by side."""
    with ThreadPoolExecutor(max_workers=len(Store)) as pool:
        found = pool.map(lambda store: _digest(stream, store), Store)
        return dict(zip(Store, found, strict=True))


def _digest(stream: Stream, store: Store) -> Digests:
    with reaching(store), dedicated(store, f"validation {stream.name}") as session:
        result = session.execute(rows.digest(stream, store, BUCKETS - 1))
        return Digests({int(b): (int(n), int(d)) for b, n, d in result})


def differing(one: Digests, other: Digests) -> list[int]:
    """Buckets that are not equal."""
    every = one.buckets.keys() | other.buckets.keys()
    return sorted(b for b in every if one.buckets.get(b) != other.buckets.get(b))


def candidates(stream: Stream, buckets: list[int]) -> Iterator[str]:
    """Keys of those buckets that are on one side only, differ, or occur more than once on a side."""
    if not buckets:
        return
    with (
        _stream_rows(stream, Store.SCREENER, buckets) as one,
        _stream_rows(stream, Store.REGISTRY, buckets) as two,
    ):
        yield from merge(iter(one), iter(two))


Row = tuple[str, str, str]


def merge(one: Iterator[Row], two: Iterator[Row]) -> Iterator[str]:
    """Keys whose rows are not exactly the same on both sides; both come in ascending order of (hash, key, digest)."""
    left, right = next(one, None), next(two, None)
    last = None
    while left is not None or right is not None:
        if left == right:
            left, right = next(one, None), next(two, None)
            continue
        if right is None or (left is not None and _order(left) < _order(right)):
            assert left is not None  # noqa: S101 - for the type checker: both None ends the loop
            key, left = left[1], next(one, None)
        else:
            key, right = right[1], next(two, None)
        if key != last:
            yield key
        last = key


def _order(row: Row) -> tuple[str, bytes, str]:
    # As PostgreSQL orders by COLLATE "C": by bytes, not by code points.
    return row[0], row[1].encode(), row[2]


class _stream_rows:
    """Rows of some buckets from a server-side cursor, so that memory does not grow with their number."""

    def __init__(self, stream: Stream, store: Store, buckets: list[int]) -> None:
        self._stream, self._store, self._buckets = stream, store, buckets

    def __enter__(self) -> "_stream_rows":
        with reaching(self._store):
            self._session = dedicated(self._store, f"validation {self._stream.name}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._session.close()

    def __iter__(self) -> Iterator[Row]:
        query = rows.bucket_rows(self._stream, self._store, BUCKETS - 1, self._buckets)
        with reaching(self._store), self._session.transaction(), self._session.cursor("validation") as cursor:
            cursor.itersize = FETCH
            for row in cursor.execute(query):
                yield str(row[0]), str(row[1]), str(row[2])
