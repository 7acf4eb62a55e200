"""SQL of the rows that validation compares, for one store of a stream."""

from collections.abc import Sequence

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stream import Field, Stream


def canonical(stream: Stream, store: Store) -> sql.Composable:
    """The fields by value: 1.50 and 1.5 give the same text."""
    side = stream.side(store)
    return sql.SQL(", ").join([_by_value(f, projection.typed(f, side)) for f in stream.fields])


def _by_value(field: Field, typed: sql.Composable) -> sql.Composable:
    return sql.SQL("trim_scale({})").format(typed) if field.type.startswith("numeric") else typed


def rows(stream: Stream, store: Store) -> sql.Composed:
    """Key and content of every record."""
    side = stream.side(store)
    return compose(
        "validation",
        "rows",
        key=projection.key(stream, store),
        canonical=canonical(stream, store),
        table=projection.table(side),
        is_record=projection.is_record(side),
    )


def digest(stream: Stream, store: Store, mask: int) -> sql.Composed:
    """Bucket, rows, digest."""
    return compose("validation", "digest", rows=rows(stream, store), mask=sql.Literal(mask))


def bucket_rows(stream: Stream, store: Store, mask: int, buckets: Sequence[int]) -> sql.Composed:
    """Order, key, row digest of some buckets."""
    return compose(
        "validation",
        "bucket_rows",
        rows=rows(stream, store),
        mask=sql.Literal(mask),
        buckets=sql.Literal(list(buckets)),
    )


def records(stream: Stream, store: Store, *, by_key_text: bool) -> sql.Composed:
    """Key, content, fields of given keys (parameter `keys`)."""
    side = stream.side(store)
    fragments = {
        "canonical": canonical(stream, store),
        "table": projection.table(side),
        "is_record": projection.is_record(side),
        "record": projection.record(stream, store),
    }
    if by_key_text:
        return compose("validation", "records_by_key_text", key=projection.key(stream, store), **fragments)
    return compose(
        "validation",
        "records",
        key_parts=projection.key_parts(stream, "k"),
        match=projection.match(stream, store),
        **fragments,
    )
