"""The life of one record: what both stores have, whether it waits or is parked, when it was relayed and compared.

Nothing is kept for it. It is read, at the moment of asking, where the relay and validation put it; so when a key was
relayed is known only until a validation has looked at it, and then the validation says more.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from dualwrite import outbox, switch
from dualwrite.exceptions import DualWriteError
from dualwrite.models import ParkedKey, ValidationRun, ValidationStatus
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, present, reaching
from dualwrite.stream import Stream
from dualwrite.validation.look import NOTHING, Look, Present, read, waiting_of
from dualwrite.validation.scope import Scope
from dualwrite.validation.tolerance import Rule

T = TypeVar("T")
_COMPLETE = (ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED)


@dataclass(frozen=True)
class InStore:
    """What one store has: its role, and the records of the key, by field; None where it could not be asked."""

    store: Store
    role: str
    records: list[dict[str, Any]] | None


@dataclass(frozen=True)
class Parked:
    """Since when the key is set aside, and why; when it is tried again by itself, None when it is not."""

    since: datetime
    attempts: int
    error: str
    again: datetime | None = None


@dataclass(frozen=True)
class Compared:
    """The last comparison of everything: which run, when it began, how it ended."""

    run: int
    at: datetime
    level: str
    status: str


@dataclass(frozen=True)
class Explained:
    """All that is known of one key. `differing`: fields in which the stores differ, None where it cannot be told.

    `waits_seconds`: how long it has waited to be relayed, None when it does not wait. `relayed_at`: when it was last
    applied to the mirror, None when that was before the last comparison that looked at it, or never. `unknown`: what
    could not be asked, and why.
    """

    stream: str
    key: str
    stores: list[InStore]
    differing: list[str] | None
    waits_seconds: float | None
    parked: Parked | None
    relayed_at: datetime | None
    compared: Compared | None
    history: list[dict[str, Any]]
    unknown: list[str]


def explain(stream: Stream, key: str) -> Explained:
    """Tell what is known of the key; a store that cannot be asked is named under `unknown`.

    Raises UsageError for a text that is no key of the stream.
    """
    outbox.check_key(stream, key)
    asking = _Asking(stream, key)
    stores = [asking.store(store) for store in present()]
    authority = asking.ask(lambda: switch.authority(stream).store, None)
    return Explained(
        stream=stream.name,
        key=key,
        stores=stores,
        differing=asking.differing(),
        waits_seconds=asking.ask(lambda: _waits(stream, authority, key), None),
        parked=asking.ask(lambda: _parked(stream, key), None),
        relayed_at=asking.ask(lambda: _relayed(stream, authority, key), None),
        compared=asking.ask(lambda: _compared(stream), None),
        history=asking.ask(lambda: _history(stream, key), []),
        unknown=asking.unknown,
    )


class _Asking:
    """Asks one thing after the other; what cannot be told keeps nothing else from being told."""

    def __init__(self, stream: Stream, key: str) -> None:
        self._stream, self._key, self._rule = stream, key, Rule(stream.fields)
        self._found: dict[Store, Present] = {}
        self.unknown: list[str] = []

    def ask(self, ask: Callable[[], T], otherwise: T) -> T:
        """The answer, or this one where there is none."""
        try:
            return ask()
        except DualWriteError as exc:
            if str(exc) not in self.unknown:
                self.unknown.append(str(exc))
            return otherwise

    def store(self, store: Store) -> InStore:
        """What the store has of the key, and its role."""
        role = self.ask(lambda: switch.state(self._stream, store).role.value, "unknown")
        found = self.ask(lambda: read(self._stream, store, [self._key], self._rule), None)
        if found is None:
            return InStore(store, role, None)
        here = self._found[store] = found.get(self._key, NOTHING)
        return InStore(store, role, json.loads(here.shown))

    def differing(self) -> list[str] | None:
        """The fields that differ; every field where one store has the record more often. None without both stores."""
        if len(self._found) < len(Store):
            return None
        look = Look(self._found[Store.SCREENER], self._found[Store.REGISTRY])
        names = [field.name for field in self._stream.fields]
        if look.agrees(self._rule):
            return []
        apart = look.differing(self._rule)
        return [name for name in names if name in apart] or names


def _waits(stream: Stream, authority: Store | None, key: str) -> float | None:
    waiting = waiting_of(stream, authority, [key]).get(key) if authority else None
    return waiting.seconds if waiting else None


def _parked(stream: Stream, key: str) -> Parked | None:
    with reaching(Store.REGISTRY):
        row = ParkedKey.objects.filter(stream=stream.name, key=key).first()
    return Parked(row.first_parked_at, row.attempts, row.error, row.next_attempt_at) if row else None


def _relayed(stream: Stream, authority: Store | None, key: str) -> datetime | None:
    if authority is None or authority.peer not in present():
        return None
    with cursor(authority.peer) as found:
        found.execute(statement("touched", "applied_at"), {"stream": stream.name, "key": key})
        at: datetime | None = found.fetchone()[0]
        return at


def _compared(stream: Stream) -> Compared | None:
    with reaching(Store.REGISTRY):
        run = ValidationRun.objects.filter(stream=stream.name, status__in=_COMPLETE, scope=str(Scope.whole())).first()
    return Compared(run.pk, run.started_at, run.level, run.status) if run else None


def _history(stream: Stream, key: str) -> list[dict[str, Any]]:
    if not stream.history:
        return []
    parts = {part.name: value for part, value in zip(stream.key, json.loads(key), strict=True)}
    with cursor(Store.REGISTRY) as found:
        found.execute(stream.history, parts)
        names = [column.name for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
