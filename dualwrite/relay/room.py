"""Rows of the mirror that stand in each other's way make room: two that swap a unique value, a list that moves up.

A server looks at a unique index row by row, so neither of two rows can take the other's value first, although both
together are right. In one transaction:

1. the rows let their unique values go: as NULL where they may be, else the rows are taken out, whole;
2. rows taken out get what was sent, keeping every column that is the mirror's own, and are put back;
3. the ordinary MERGE does the rest.

Rows are not taken out where others would notice: a foreign key that deletes or empties its rows along with them, or a
trigger of somebody else's for deletes. Then only the order is tried, which helps where a value has become free since.
"""

from collections.abc import Callable, Mapping

from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import DualWriteError
from dualwrite.relay.parking import POISON, Failure, refused
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream

#: Of so many keys it is found out which ones can still not be applied; of more only whether all can.
MOST_APART = 100
#: MERGE of these staged records; returns the rows changed.
Merge = Callable[[sql.Composable], int]


class StillBlocked(DualWriteError):
    """Some keys cannot be applied together with the others."""

    def __init__(self, keys: Mapping[str, Failure]) -> None:
        super().__init__(f"{len(keys)} keys")
        self.keys = keys


class Room:
    """For one transaction, on the records that are staged in it."""

    def __init__(self, stream: Stream, store: Store, session: Session, staged: sql.Composable, merge: Merge) -> None:
        self._session, self._staged, self._merge = session, staged, merge
        self._side = stream.side(store)
        self._match = projection.match(stream, store)
        self._taken_out = sql.Identifier("pg_temp", f"taken_out_{stream.name}")
        self._columns: list[str] = []

    def apply(self, keys: int) -> int:
        """Make the mirror equal to the staged records; raises StillBlocked or the driver's error, to be rolled back."""
        self._make()
        try:
            with self._session.transaction():
                return self._fill(self._staged)
        except POISON:
            if keys > MOST_APART:
                raise
        raise StillBlocked(self._apart())

    def _make(self) -> None:
        written = [column for column in self._side.writes if column not in self._side.match]
        table_name = projection.table_name(self._side)
        query = compose("room", "unique_columns", table_name=table_name, written=sql.Literal(written))
        nullable = self._session.execute(query).fetchall()
        if all(columns for (columns,) in nullable):
            vacated = sorted({column for (columns,) in nullable for column in columns})
            if vacated:
                self._run("vacate", assignments=_nulls(vacated))
            return
        row = self._session.execute(compose("room", "may_take_out", table_name=table_name)).fetchone()
        if row and row[0]:
            self._take_out(table_name)

    def _take_out(self, table_name: sql.Composable) -> None:
        self._run("taken_out_table")
        self._run("take_out", is_record=projection.is_record(self._side))
        self._run("leave_out_absent")
        writes = {c: projection.expression(v) for c, v in self._side.writes.items() if c not in self._side.match}
        self._run("change_taken_out", assignments=_assignments(writes))
        self._columns = [
            str(row[0]) for row in self._session.execute(compose("room", "columns", table_name=table_name)).fetchall()
        ]

    def _fill(self, staged: sql.Composable) -> int:
        if self._columns:
            columns, theirs = projection.names(self._columns), projection.names(self._columns, "t")
            self._run("put_back", staged=staged, columns=columns, theirs=theirs)
        return self._merge(staged)

    def _apart(self) -> Mapping[str, Failure]:
        """Which keys cannot be applied after all those that can."""
        rows = self._session.execute(compose("room", "keys", staged=self._staged)).fetchall()
        left, failed = [str(row[0]) for row in rows], dict[str, Failure]()
        while left:
            failed = {key: failure for key in left if (failure := self._alone(key))}
            if len(failed) == len(left):
                break
            left = list(failed)
        return failed

    def _alone(self, key: str) -> Failure | None:
        one = compose("room", "one", staged=self._staged, key=sql.Literal(key))
        try:
            with self._session.transaction():
                self._fill(one)
        except POISON as exc:
            return refused(exc)
        return None

    def _run(self, name: str, **fragments: sql.Composable) -> None:
        places = {
            "table": projection.table(self._side),
            "taken_out": self._taken_out,
            "staged": self._staged,
            "match": self._match,
        }
        self._session.execute(compose("room", name, **{**places, **fragments}))


def _assignments(values: Mapping[str, sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join([sql.SQL("{} = {}").format(sql.Identifier(c), v) for c, v in values.items()])


def _nulls(columns: list[str]) -> sql.Composable:
    return _assignments(dict.fromkeys(columns, sql.SQL("NULL")))
