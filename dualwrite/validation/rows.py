"""SQL of the rows that validation compares, for one store of a stream."""

import re
from collections.abc import Sequence

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream


def canonical(stream: Stream, store: Store) -> sql.Composable:
    """The fields by value: 1.50 and 1.5 give the same text."""
    return sql.SQL(", ").join([_by_value(stream.side(store), f) for f in stream.fields])


def named(stream: Stream, store: Store) -> sql.Composable:
    """The same, each under its name."""
    side = stream.side(store)
    return sql.SQL(", ").join(
        [sql.SQL("{} AS {}").format(_by_value(side, f), sql.Identifier(f.name)) for f in stream.fields]
    )


def _by_value(side: Side, field: Field) -> sql.Composable:
    if not field.type.startswith("numeric"):
        return projection.typed(field, side)
    raw = projection.expression(side.reads[field.name])
    bounds = re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", field.type)
    if bounds is None:
        return sql.SQL("trim_scale(({})::numeric)").format(raw)
    precision, scale = int(bounds[1]), int(bounds[2])
    # A number that does not fit is left as it is: it differs from whatever the other store has, instead of failing
    # the whole comparison. NaN counts as greater than every number.
    fits = sql.SQL("abs(round(({})::numeric, {})) < 1e{}").format(
        raw, sql.Literal(scale), sql.Literal(precision - scale)
    )
    return sql.SQL("trim_scale(CASE WHEN {} THEN round(({})::numeric, {}) ELSE ({})::numeric END)").format(
        fits, raw, sql.Literal(scale), raw
    )


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
        "record": named(stream, store),
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
