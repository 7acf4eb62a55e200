"""The statements of one policy over one table, composed from declaration and catalog; values are bound. Pure.

A row's fingerprint is a chain of 64-bit hashes over the text of each value by its bytes, in which NULL and '' differ;
whatever of the row changes, it changes. Source: the row digest of `dualwrite.validation`.
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

    def as_data(self) -> dict[str, object]:
        """As a run keeps it."""
        return {"everything": self.everything, **{name: list(values) for name, values in self.values.items()}}


@dataclass(frozen=True)
class Batch:
    """Rows of consecutive keys: the least and the greatest as text, their number, the sum of their fingerprints."""

    first: str
    last: str
    rows: int
    digest: str


class Rows:
    """Statements of a policy; `cutoff` and `run` are bound with every one."""

    def __init__(self, policy: Policy, table: Table, cutoff: datetime, run: int = 0) -> None:
        self.policy, self.table, self.cutoff, self.run = policy, table, cutoff, run
        self._conditions, self._values = conditions.compiled(policy.conditions, table.types)

    def compose(self, name: str, holds: Holds | None = None, **more: sql.Composable) -> sql.Composed:
        """The named statement of sql/retention.sql; `holds`: what stays; `more`: what only this statement has."""
        return compose("retention", name, **self._fixed, goes=self.goes(holds or Holds()), **more)

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

    @cached_property
    def fingerprint(self) -> sql.Composable:
        """The fingerprint of a row `t`."""
        return self._fingerprint("t")

    def _fingerprint(self, row: str) -> sql.Composable:
        found: sql.Composable = sql.SQL("0::bigint")
        for name in self.table.types:
            # By its bytes: a collation may take for the same what is not, and would be asked for every value.
            value = sql.SQL("""(coalesce('v' || {}::text, '') COLLATE "C")""").format(sql.Identifier(row, name))
            found = sql.SQL("hashtextextended({}, {})").format(value, found)
        return found

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
            "fingerprint": self.fingerprint,
            "in_range": in_range,
            "place": PLACE,
            "definitions": sql.SQL(", ").join(
                [sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in self.table.types.items()]
            ),
            "key_of_stored": sql.Identifier("e", self.table.key),
            "stored_fingerprint": self._fingerprint("e"),
            # A row that was marked has gone as far as this policy goes.
            "is_there": sql.Identifier("t", subject.inactive) if marked else sql.SQL("true"),
        }
