"""The statements of one policy over one table, composed from declaration and catalog; values are bound. Pure.

Whether a row is still what was exported is told by its version, not by its values. A version never changes: an update
makes another one, whose number (`xmin`) is that of its transaction. Every transaction below the least one that ran
when the snapshot of the export was taken had ended by then, so a version below it that is there now was there then,
and was exported. No hash is as sure, or as cheap. It holds after a crash, a failover or a restore of this database,
as the run and its snapshot are rows of it: whatever state has them has every transaction below, decided as it was, and
numbers given anew are above. A version above may be of a row that nobody changed: `trim` holds its values against the
backup. It does not hold in another cluster or after 2^31 transactions, so a run that is continued looks
(`still_that_cluster`). Source: PostgreSQL's documentation, "Transactions and Identifiers".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from psycopg import sql

from dualwrite import projection
from dualwrite.retention import conditions
from dualwrite.retention.policy import Policy
from dualwrite.retention.schema import Table
from dualwrite.retention.subject import Action
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stream import stream_named

AND = sql.SQL(" AND ")
PLACE = sql.Identifier("retention_rows")
#: Both ages are counted from this transaction's own number, which it has (`begin_batch`).
SAME_VERSION = sql.SQL("age(t.xmin) > age(%(snapshot)s::xid8::xid)")
#: Not made since the export, as far as can be told: what somebody wrote or restored since is another version.
NOT_SINCE = sql.SQL("age(t.xmin) > age(%(until)s::xid8::xid)")
#: The row is one of those that were loaded from the backup, with the values that it has there.
LOADED = sql.SQL("EXISTS (SELECT FROM {} AS e WHERE e.{} = t.{} AND {})")
#: The key of a streamed row neither waits to be relayed nor is parked.
AT_REST = """
NOT EXISTS (SELECT FROM dualwrite.waiting AS w WHERE w.stream = {stream} AND w.key = {key})
AND NOT EXISTS (SELECT FROM dualwrite_parked AS p WHERE p.stream = {stream} AND p.key = {key})
"""


@dataclass(frozen=True)
class Holds:
    """What is held of a table: all of it, or the values of each name."""

    everything: bool = False
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """As a run keeps it."""
        return {"everything": self.everything, "values": {name: list(found) for name, found in self.values.items()}}

    @classmethod
    def kept(cls, data: Mapping[str, Any]) -> "Holds":
        """What a run kept."""
        return cls(data["everything"], data["values"])

    def and_also(self, other: "Holds") -> "Holds":
        """What either holds."""
        names = {*self.values, *other.values}
        both = {name: sorted({*self.values.get(name, ()), *other.values.get(name, ())}) for name in names}
        return Holds(self.everything or other.everything, both)


@dataclass(frozen=True)
class Batch:
    """Rows of consecutive keys: the first and the last as text, their number, size and sha256 of their exported text.

    Size and digest are empty where nothing was exported.
    """

    first: str
    last: str
    rows: int
    text_bytes: int = 0
    sha256: str = ""


class Rows:
    """Statements of a policy; `cutoff` and `run` are bound with every one."""

    def __init__(self, policy: Policy, table: Table, cutoff: datetime, run: int = 0) -> None:
        self.policy, self.table, self.cutoff, self.run = policy, table, cutoff, run
        self._conditions, self._values = conditions.compiled(policy.conditions, table.types)

    def compose(self, name: str, holds: Holds | None = None, **more: sql.Composable) -> sql.Composed:
        """The named statement of sql/retention.sql; `holds`: what stays; `more`: what only this statement has."""
        return compose("retention", name, **self._fixed, goes=self.goes(holds or Holds()), **more)

    def exported(self, *, loaded: bool) -> sql.Composable:
        """The condition that the row `t`, whose version may go, is one that was exported.

        By its version, or, where the rows were `loaded` from the backup first, by its values.
        """
        key = sql.Identifier(self.table.key)
        return LOADED.format(PLACE, key, key, self._as_exported) if loaded else SAME_VERSION

    def values(self, holds: Holds | None = None, batch: Batch | None = None, **more: object) -> dict[str, Any]:
        """What is bound with it."""
        held = {f"held_{number}": list(values) for number, (_, values) in enumerate(self._held(holds or Holds()))}
        ends = {"first": batch.first, "last": batch.last} if batch else {}
        return {**self._values, "cutoff": self.cutoff, "run": self.run, "table": self._name, **held, **ends, **more}

    def old(self) -> sql.Composable:
        """The condition that a row `t` is old enough and is what the policy is about."""
        parts = [sql.SQL("{} < {}").format(self.date, sql.Placeholder("cutoff")), *self._conditions]
        if self.policy.action is Action.MARK_INACTIVE:
            parts.append(sql.Identifier("t", self.policy.subject.inactive))
        return sql.SQL("({})").format(AND.join(parts))

    def goes(self, holds: Holds) -> sql.Composable:
        """The condition that the row goes: old, not held, at rest."""
        return AND.join([self.old(), *self._not_held(holds), *self._at_rest()])

    def _not_held(self, holds: Holds) -> list[sql.Composable]:
        if holds.everything:
            return [sql.SQL("false")]
        return [
            sql.SQL("NOT coalesce({} = ANY({}::text[]), false)").format(
                projection.expression(self.policy.subject.holds[name]), sql.Placeholder(f"held_{number}")
            )
            for number, (name, _) in enumerate(self._held(holds))
        ]

    @staticmethod
    def _held(holds: Holds) -> list[tuple[str, Sequence[str]]]:
        return [(name, values) for name, values in sorted(holds.values.items()) if values]

    def _at_rest(self) -> list[sql.Composable]:
        if not self.policy.subject.stream:
            return []
        stream = stream_named(self.policy.subject.stream)
        key = projection.key(stream, Store.REGISTRY)
        return [sql.SQL(AT_REST).format(stream=sql.Literal(stream.name), key=key)]

    @property
    def _name(self) -> str:
        return f'"{self.policy.subject.schema}"."{self.policy.subject.table}"'

    @property
    def _as_exported(self) -> sql.Composable:
        """The row `t` is older than the export and has the values of the loaded row `e`.

        By their texts, as not every type can be compared.
        """
        same = sql.SQL('(t.{0})::text COLLATE "C" IS NOT DISTINCT FROM (e.{0})::text COLLATE "C"')
        return AND.join([NOT_SINCE, *(same.format(sql.Identifier(name)) for name in self.table.types)])

    @property
    def date(self) -> sql.Composable:
        """The date of a row `t` that tells how old it is."""
        return sql.SQL("({})").format(projection.expression(self.policy.subject.dates[self.policy.date]))

    @cached_property
    def _fixed(self) -> dict[str, sql.Composable]:
        subject, key = self.policy.subject, sql.Identifier(self.table.key)
        columns = list(self.table.types)
        type_ = sql.SQL(self.table.types[self.table.key])  # as the catalog writes it
        in_range = sql.SQL("t.{key} BETWEEN {first}::{type} AND {last}::{type}").format(
            key=key, type=type_, first=sql.Placeholder("first"), last=sql.Placeholder("last")
        )
        marked = self.policy.action is Action.MARK_INACTIVE
        return {
            "table": sql.Identifier(subject.schema, subject.table),
            "archive": sql.Identifier(subject.schema, subject.archive),
            "inactive": sql.Identifier(subject.inactive or "-"),
            "key": key,
            "date": self.date,
            "old": self.old(),
            "columns": projection.names(columns, "t"),
            "names": projection.names(columns),
            "in_range": in_range,
            "place": PLACE,
            "definitions": sql.SQL(", ").join(
                [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in self.table.types.items()]
            ),
            "as_exported": self._as_exported,
            # A row that was marked has gone as far as this policy goes.
            "is_there": sql.Identifier("t", subject.inactive) if marked else sql.SQL("true"),
        }
