"""The handshake before hashes are compared: both servers hash the same values, and must come to the same numbers."""

from psycopg import sql

from dualwrite.sql import compose
from dualwrite.stream import Field
from dualwrite.validation.hashing import Hashing, Method
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
