"""SQL of the values of a field: as they are read, and as text by value, which is equal exactly when they are. Pure."""

import re
from collections.abc import Sequence

from psycopg import sql

from dualwrite import projection
from dualwrite.stages import Store
from dualwrite.stream import Field, Side, Stream

_NUMERIC = re.compile(r"(?:numeric|decimal)\s*(?:\(\s*\d+\s*(?:,\s*(?P<scale>-?\d+)\s*)?(?P<bound>\)))?")


def raw(field: Field, side: Side) -> sql.Composable:
    """A field of a row `t`. A number keeps the precision it has: to be cast to too small a type would fail the run."""
    if _NUMERIC.fullmatch(field.type):
        return sql.SQL("({})::numeric").format(projection.expression(side.reads[field.name]))
    return projection.typed(field, side)


def travelling_scale(field: Field) -> int | None:
    """How many digits of a number travel behind the point; None where all do, or it is no such number."""
    number = _NUMERIC.fullmatch(field.type)
    return int(number["scale"] or 0) if number and number["bound"] else None


def text(field: Field, value: sql.Composable) -> sql.Composable:
    """Such a value as text. Numbers are rounded as they travel; one too large for its type differs from any that fits.

    Text travels in the sessions' settings (UTC, ISO, all digits), so equal texts are equal values.
    """
    if not _NUMERIC.fullmatch(field.type):
        return sql.SQL("({})::text").format(value)
    scale = travelling_scale(field)
    if scale is None:
        return sql.SQL("trim_scale({})::text").format(value)
    return sql.SQL("round({}, {})::text").format(value, sql.Literal(scale))


def compared(fields: Sequence[Field], stream: Stream, store: Store) -> sql.Composable:
    """An array of the values by which records are compared; points in time in seconds since 1970, UTC."""
    side = stream.side(store)
    listed = sql.SQL(", ").join([_compared(field, raw(field, side)) for field in fields])
    return sql.SQL("ARRAY[{}]::text[]").format(listed)


def _compared(field: Field, value: sql.Composable) -> sql.Composable:
    if field.is_moment:
        return sql.SQL("trim_scale(extract(epoch FROM {})::numeric)::text").format(value)
    return text(field, value)


def named(stream: Stream, store: Store) -> sql.Composable:
    """Every field of a row `t` by value, under its name, to be shown."""
    side = stream.side(store)
    return sql.SQL(", ").join(
        [sql.SQL("{} AS {}").format(_shown(f, raw(f, side)), sql.Identifier(f.name)) for f in stream.fields]
    )


def _shown(field: Field, value: sql.Composable) -> sql.Composable:
    return sql.SQL("trim_scale(({})::numeric)").format(text(field, value)) if _NUMERIC.fullmatch(field.type) else value
