"""The one statement that makes the mirror equal to what was read."""

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stream import Side, Stream


def merge(stream: Stream, store: Store, staged: sql.Composable) -> sql.Composed:
    """MERGE of these staged records into the mirror: rows that differ or are new are written, absent ones deleted."""
    side = stream.side(store)
    columns = list(side.writes)
    values = [projection.expression(side.writes[c]) for c in columns]
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(c), v)
        for c, v in zip(columns, values, strict=True)
        if c not in side.match
    ]
    return compose(
        "relay",
        "merge",
        table=projection.table(side),
        staged=staged,
        match=projection.match(stream, store),
        is_record=projection.is_record(side),
        differs=_differs(stream, side),
        assignments=sql.SQL(", ").join(assignments),
        columns=projection.names(columns),
        values=sql.SQL(", ").join(values),
    )


def _differs(stream: Stream, side: Side) -> sql.Composable:
    """Row `t` is no record, or reads otherwise than `r`. Compared by what a reader sees, not by column."""
    reads = [projection.differs(field, side) for field in stream.fields]
    absent = sql.SQL("NOT {}").format(projection.is_record(side))
    return sql.SQL(" OR ").join([absent, *reads])
