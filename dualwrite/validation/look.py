"""One look at keys in both stores: their records as they are now, and whether they wait to be relayed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream, split_keyless
from dualwrite.validation.rows import records
from dualwrite.validation.tolerance import Rule, Values


@dataclass(frozen=True)
class Record:
    """A present row: its values as compared, its version in its own store, its fields as text to be shown."""

    values: Values
    version: str
    fields: dict[str, Any]


Records = dict[str, list[Record]]


@dataclass(frozen=True)
class Waiting:
    """A key's first note in the outbox: `place` is that note and the first of its lane, `seconds` its age."""

    place: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Look:
    """What one look at a key found. `moved`: the authority's records changed meanwhile."""

    authority: list[Record]
    mirror: list[Record]
    waiting: Waiting | None = None
    moved: bool = False

    @property
    def rests(self) -> bool:
        """Whether both stores' records can be held against each other."""
        return self.waiting is None and not self.moved

    @property
    def values(self) -> tuple[list[Values], list[Values]]:
        """What is compared, of the authority and the mirror."""
        return [record.values for record in self.authority], [record.values for record in self.mirror]

    @property
    def shown(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What is shown, of the authority and the mirror."""
        return [record.fields for record in self.authority], [record.fields for record in self.mirror]


def read(stream: Stream, store: Store, keys: Sequence[str], rule: Rule) -> Records:
    """The present rows of the keys, each list in one order; a key without row is missing from the result."""
    found: Records = {}
    for some, by_key_text in zip(split_keyless(keys), (False, True), strict=True):
        if not some:
            continue
        query = records(stream, store, rule.fields, by_key_text=by_key_text)
        with cursor(store) as session:
            session.execute(query.as_string(session.connection), {"keys": some})
            for key, values, version, fields in session.fetchall():
                found.setdefault(str(key), []).append(Record(tuple(values), str(version), json.loads(fields)))
    return {key: sorted(some, key=lambda record: (repr(record.values), record.version)) for key, some in found.items()}


def waiting_of(stream: Stream, store: Store, keys: Sequence[str]) -> dict[str, Waiting]:
    """Those of the keys that wait in the store's outbox."""
    with cursor(store) as found:
        found.execute(statement("validation", "waiting"), {"lanes": stream.lanes, "keys": list(keys)})
        return {str(key): Waiting((first, head), float(age)) for key, first, age, head in found.fetchall()}
