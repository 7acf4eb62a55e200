"""Sequences handed over with the authority: the new one must not draw numbers the old one has given out.

A column of the mirror that the relay writes and that draws from a sequence of its own (serial, identity) is moved on
to where the old authority's sequence stands; where the old store has no sequence for that field, to the highest value
in the column. Columns the relay does not write have drawn their own numbers all along.
"""

import re
from collections.abc import Mapping

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream

_PLAIN = re.compile(r"^[tr]\.(\w+)$")

#: Canonical field → the number its sequence gave out last.
Positions = Mapping[str, int]


#: A column that draws from a sequence, and that sequence.
Own = tuple[str, str]


def own(session: Session, stream: Stream, store: Store) -> list[Own]:
    """The store's columns that the relay writes and that draw from a sequence of their own."""
    found = _sequences(session, stream, store, list(stream.side(store).writes))
    return [(column, sequence) for column, sequence, _ in found]


def positions(session: Session, stream: Stream, store: Store) -> dict[str, int]:
    """Where the store's sequences stand; read on the fenced store, where nobody draws any more."""
    fields = {column: field for field, column in _plain(stream.side(store).reads).items()}
    return {fields[column]: last for column, _, last in _sequences(session, stream, store, list(fields)) if last}


def take_over(session: Session, stream: Stream, store: Store, found: Positions) -> None:
    """Move the store's own sequences on, within the caller's transaction; never back."""
    side = stream.side(store)
    fields = _plain(side.writes)
    for column, sequence in own(session, stream, store):
        session.execute(
            compose(
                "state",
                "sequence_take_over",
                sequence=sql.Literal(sequence),
                column=sql.Identifier(column),
                table=projection.table(side),
                known=sql.Literal(found.get(fields.get(column, ""))),
            )
        )


def _plain(expressions: Mapping[str, str]) -> dict[str, str]:
    """Of name → expression those that are a column as it is: name → column."""
    found = {name: _PLAIN.match(expression) for name, expression in expressions.items()}
    return {name: plain.group(1) for name, plain in found.items() if plain}


def _sequences(session: Session, stream: Stream, store: Store, columns: list[str]) -> list[tuple[str, str, int | None]]:
    """Those of the columns that draw from a sequence: column, sequence, number given out last."""
    table = projection.table_name(stream.side(store))
    query = compose("state", "sequences", table_name=table, columns=sql.Literal(columns))
    return [(str(c), str(s), None if n is None else int(n)) for c, s, n in session.execute(query).fetchall()]
