"""A few records that are all there, applied in as few messages as can be: one takes the fences, one does the rest.

They pass through this process as one JSON text, not through a temporary table, which every commit would have to empty.
The server reads each value by the input function of its type, as COPY does: what does not fit is refused, not cut.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import Cursor, Pipeline, RawCursor, sql

from dualwrite import projection
from dualwrite.failpoints import reach
from dualwrite.relay import readback
from dualwrite.relay.parking import Failure
from dualwrite.relay.readback import ReadBack
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Stream

#: A record as texts: its key, the key's fields, "t" where there is one, its fields.
Row = tuple[str | None, ...]
#: Types that the server makes of a JSON string as it makes them of COPY's text. A json is not: it would be the string.
PLAIN = {
    *("text", "varchar", "character varying", "character", "char", "boolean", "bool", "uuid", "bytea"),
    *("smallint", "integer", "int", "bigint", "int2", "int4", "int8", "numeric", "decimal"),
    *("real", "double precision", "float", "float4", "float8", "interval", "date", "time", "timetz"),
    *("timestamp", "timestamp without time zone", "timestamp with time zone", "timestamptz"),
}


class MoreNeeded(Exception):
    """The records need more than is done here: one is absent, several have one key, a type does not travel so."""


@dataclass(frozen=True)
class Sent:
    """What the server answers, once it has."""

    changed: Cursor[Any]
    counted: Cursor[Any]
    read_back: ReadBack | None
    keys: int

    def answers(self) -> tuple[int, int, Mapping[str, Failure]]:
        """Rows changed, the count of what was ever applied, and the keys to be parked as they were kept otherwise."""
        rows = self.counted.fetchall()
        different = [row[1:] for row in rows if row[1]]
        otherwise = self.read_back.found(different, self.keys) if self.read_back else {}
        return self.changed.rowcount, int(rows[0][0]), otherwise


class AtOnce:
    """Of one mirror session. `merge`: the statement that makes the mirror equal to records, given where those are."""

    def __init__(
        self, stream: Stream, store: Store, session: Session, merge: Callable[[sql.Composable], sql.Composed]
    ) -> None:
        self._stream, self._session, self._merge_of = stream, session, merge
        fields = (*stream.key, *stream.fields)
        self._plain = all(_is_plain(field) for field in fields)
        key, record = ([field.name for field in part] for part in (stream.key, stream.fields))
        self._names = ["key", *key, "present", *record]
        self._read_back = ReadBack(stream, store, session, self._records)

    @contextmanager
    def transaction(self) -> Iterator[Pipeline]:
        """As the session's own, which waits for the server's word behind BEGIN and before COMMIT. Raises MoreNeeded."""
        if not self._plain:
            raise MoreNeeded
        try:
            with self._session.pipeline() as pipeline:
                self._session.execute("BEGIN", prepare=True)
                yield pipeline
                self._session.execute("COMMIT", prepare=True)
        except BaseException:
            if not self._session.closed:
                self._session.rollback()
            raise

    def send(self, records: Sequence[Row], partition: int, newest_note: int) -> Sent:
        """Have the mirror made equal, in a transaction; the answers are there when that is over.

        What was applied is counted in the partition. Raises MoreNeeded.
        """
        reach("relay may apply anew")
        if not self._all_there(records):
            raise MoreNeeded
        text = json.dumps([dict(zip(self._names, record, strict=True)) for record in records])
        changed = self._ask(self._merge, [text])
        looks = readback.wanted()
        count = self._count_and_look if looks else self._count
        answer = self._ask(count, [text, partition, newest_note, len(records)])
        return Sent(changed, answer, self._read_back if looks else None, len(records))

    def _ask(self, query: bytes, values: Sequence[Any]) -> Cursor[Any]:
        # Raw, as an expression of a declaration may have a percent sign.
        return RawCursor(self._session).execute(query, values, prepare=True)

    def _all_there(self, records: Sequence[Row]) -> bool:
        """Whether each is there, and no two have one key."""
        present = len(self._stream.key) + 1
        return all(record[present] == "t" for record in records) and len({r[0] for r in records}) == len(records)

    @cached_property
    def _records(self) -> sql.Composed:
        return compose(
            "relay",
            "records",
            key_definitions=projection.definitions(self._stream.key),
            definitions=projection.definitions(self._stream.fields),
        )

    @cached_property
    def _merge(self) -> bytes:
        return self._merge_of(self._records).as_bytes(self._session)

    @cached_property
    def _count(self) -> bytes:
        return self._counting(sql.SQL("SELECT NULL, NULL WHERE false"))

    @cached_property
    def _count_and_look(self) -> bytes:
        return self._counting(self._read_back.query)

    def _counting(self, otherwise: sql.Composable) -> bytes:
        stream = sql.Literal(self._stream.name)
        query = compose("relay", "applied_at_once", records=self._records, stream=stream, otherwise=otherwise)
        return query.as_bytes(self._session)


def _is_plain(field: Field) -> bool:
    return field.type.partition("(")[0].strip().lower() in PLAIN
