"""What is asked of the servers before hashes are compared.

The handshake: both hash the same values, and must come to the same numbers. And which numbers are their own text: to
round a million of them to the digits they have anyway is a tenth of all work.
"""

from dataclasses import replace

from psycopg import sql
from psycopg.postgres import types

from dualwrite.sql import compose
from dualwrite.stream import Field
from dualwrite.validation import values
from dualwrite.validation.hashing import Hashing, Method
from dualwrite.validation.rows import Rows
from dualwrite.validation.sides import Side, Sides, at_once

FIELDS = (Field("text"), Field("amount", "numeric"), Field("day", "date"))
NOTHING = "nothing"


def agreed(sides: Sides) -> Method:
    """NATIVE where both servers hash alike, else MD5: PostgreSQL promises its own hashes for one version only."""
    first, second = at_once(sides, _answer).values()
    return Method.NATIVE if first == second else Method.MD5


def _answer(side: Side) -> list[str]:
    columns = [sql.SQL("v.{}").format(sql.Identifier(field.name)) for field in FIELDS]
    hashed = Hashing(Method.NATIVE, NOTHING).row(sql.SQL("v.number::bigint"), FIELDS, columns)
    with side.reading():
        row = side.session.execute(compose("validation", "probe", hash=hashed)).fetchone()
    return list(row[0]) if row else []


def with_exact(side: Side, rows: Rows) -> Rows:
    """The rows, with the numbers named whose column has the digits that travel, as this server describes it."""
    scales = [values.travelling_scale(field) for field in rows.fields]
    if not any(scale is not None for scale in scales):
        return rows
    with side.reading():
        columns = side.session.execute(rows.read_as_they_are()).description or []
    numeric = types["numeric"].oid
    exact = {
        field.name
        for field, scale, column in zip(rows.fields, scales, columns, strict=True)
        if scale is not None and column.type_code == numeric and column.scale == scale
    }
    return replace(rows, exact=frozenset(exact))
