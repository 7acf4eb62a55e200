"""Read-back: whether the mirror keeps what it was sent, looked at in the transaction that wrote it.

A trigger or a rule of the mirror's own, or a column of a narrower type, can make something else of a record, and no
server reports that. By `VALIDATION_MODE`: `strict` parks the key with what was sent and what is there, `lenient` counts
and logs, `disabled` does not look. Every look is counted (`measured`), also where the transaction is taken back after
it and the batch read again. What the mirror made of the record stays there: it is its own doing.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from dualwrite import measured, projection
from dualwrite.parameters import VALIDATION_MODE
from dualwrite.relay.parking import Failure
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Side, Stream

log = logging.getLogger(__name__)

OTHERWISE = "the mirror keeps it otherwise than it was sent"


def wanted() -> bool:
    """Whether anybody wants to know."""
    return VALIDATION_MODE.value() != "disabled"


class ReadBack:
    """Of one mirror session."""

    def __init__(self, stream: Stream, store: Store, session: Session, staged: sql.Composable) -> None:
        self._stream, self._session = stream, session
        side = stream.side(store)
        #: Which were kept otherwise, and how.
        self.query = compose(
            "relay",
            "kept_otherwise",
            staged=staged,
            table=projection.table(side),
            match=projection.match(stream, store),
            is_record=projection.is_record(side),
            differs=sql.SQL(" OR ").join([projection.differs(f, side) for f in stream.fields] or [sql.SQL("false")]),
            differences=sql.SQL(", ").join([_difference(f, side) for f in stream.fields] or [sql.SQL("NULL")]),
        )
        self._text = self.query.as_bytes(session)

    def kept_otherwise(self, keys: int) -> Mapping[str, Failure]:
        """Those of so many staged keys that are to be parked, with what became of them."""
        return self.found(self._session.execute(self._text, prepare=True).fetchall(), keys) if wanted() else {}

    def found(self, rows: Sequence[tuple[Any, ...]], keys: int) -> Mapping[str, Failure]:
        """The keys to be parked, by the answer about so many."""
        found = {str(key): Failure(f"{OTHERWISE}: {what}", refusal="KeptOtherwise") for key, what in rows}
        measured.compared(self._stream.name, equal=keys - len(found), different=len(found))
        if not found:
            return {}
        if VALIDATION_MODE.value() == "strict":
            return found
        # Neither keys nor values belong into a log: `strict` parks them, where they can be looked at.
        log.warning("stream %s: %s records came back different", self._stream.name, len(found))
        return {}


def _difference(field: Field, side: Side) -> sql.Composable:
    return sql.SQL(
        "CASE WHEN {} THEN format('%s was %s, is %s', {}, left(coalesce(r.{}::text, 'nothing'), 100),"
        " left(coalesce({}::text, 'nothing'), 100)) END"
    ).format(
        projection.differs(field, side),
        sql.Literal(field.name),
        sql.Identifier(field.name),
        projection.typed(field, side),
    )
