"""Carries out a bulk write: the one function that endpoint, old contract and commands call."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any

from django.db import DatabaseError, transaction

from dualwrite import switch, writing
from dualwrite.exceptions import RecordRefused
from dualwrite.stream import Stream, key_text
from dualwrite.writing import Written
from registry.bulk.checks import Fault, Item, faults_of
from registry.exceptions import RegistryError
from registry.logs import audited

log = logging.getLogger(__name__)

#: Keys that the audit names; of more it has the number.
NAMED_KEYS = 100


class Mode(StrEnum):
    """What becomes of the others when a record cannot be written."""

    ALL = "all"  #: none is written
    EACH = "each"  #: they are


class RecordsRefused(RegistryError):
    """No record was written, as some cannot be."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        super().__init__(f"{self.faults[0].pointer} {self.faults[0].detail}")


@dataclass(frozen=True)
class Told:
    """What became of one record: what each store has of it; or why it was refused; neither: there was none to end."""

    item: Item
    written: Written | None = None
    refused: tuple[Fault, ...] = ()

    @property
    def outcome(self) -> str:
        """`written`, `ended`, `absent` or `refused`."""
        if self.refused:
            return "refused"
        if self.written is None:
            return "absent"
        return "ended" if self.item.ends else "written"


@dataclass(frozen=True)
class Order:
    """Who writes, what becomes of the others when one is refused, and what else the audit is to say."""

    actor: str
    mode: Mode = Mode.ALL
    more: dict[str, Any] = field(default_factory=dict)


def bulk_write(stream: Stream, found: Sequence[Item], order: Order) -> list[Told]:
    """Write and end records, as `checks.items` gives them; returns what became of each, in their order.

    In `all` mode raises RecordsRefused with every fault, and RecordRefused of the store; nothing is written then.
    Raises what the write service raises when the store that takes the writes cannot be had.
    """
    faults = faults_of(found)
    if faults and order.mode is Mode.ALL:
        raise RecordsRefused(faults)
    wrong: dict[str, list[Fault]] = {}
    for fault in faults:
        wrong.setdefault(fault.place, []).append(fault)
    good = [item for item in found if item.place not in wrong]
    done = _all(stream, good) if order.mode is Mode.ALL else _each(stream, good)
    by_place = {one.item.place: one for one in done}
    told = [by_place.get(one.place) or Told(one, refused=tuple(wrong[one.place])) for one in found]
    _audit(stream, told, order)
    return told


def _all(stream: Stream, found: Sequence[Item]) -> list[Told]:
    put, end = _kinds(found)
    if not (put and end):
        return _carry_out(stream, found)
    # Both kinds or neither: in one transaction of the store that takes the writes.
    with transaction.atomic(using=switch.authority(stream).store.alias):
        return [*_carry_out(stream, put), *_carry_out(stream, end)]


def _each(stream: Stream, found: Sequence[Item]) -> list[Told]:
    return [told for kind in _kinds(found) for told in _halved(stream, kind)]


def _halved(stream: Stream, found: Sequence[Item]) -> list[Told]:
    """All at once; where one is refused, halves by themselves, until it is alone."""
    try:
        return _carry_out(stream, found)
    except RecordRefused as exc:
        if len(found) == 1:
            [item] = found
            return [Told(item, refused=(Fault(item.place, exc.detail),))]
    middle = len(found) // 2
    return [*_halved(stream, found[:middle]), *_halved(stream, found[middle:])]


def _carry_out(stream: Stream, found: Sequence[Item]) -> list[Told]:
    """Records of one kind."""
    if not found:
        return []
    records = [dict(item.record or {}) for item in found]
    done = _verb(stream, ends=found[0].ends)(records)
    by_key = {one.key: one for one in done}
    return [Told(item, by_key.get(_key(stream, item))) for item in found]


def _verb(stream: Stream, *, ends: bool) -> Callable[[list[dict[str, object]]], list[Written]]:
    if not ends:
        return stream.write
    if stream.name == "instruments":
        return lambda records: writing.amend(stream, [{**record, "is_active": False} for record in records])
    return lambda records: writing.remove(stream, records)


def _key(stream: Stream, item: Item) -> str:
    return key_text([(item.record or {})[part.name] for part in stream.key])


def _kinds(found: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    return [item for item in found if not item.ends], [item for item in found if item.ends]


def counts_of(told: Sequence[Told]) -> dict[str, int]:
    """How many records had which outcome."""
    found = Counter(one.outcome for one in told)
    return {name: found[name] for name in ("written", "ended", "absent", "refused")}


def _audit(stream: Stream, told: Sequence[Told], order: Order) -> None:
    counts = counts_of(told)
    keys = list(islice((one.written.key for one in told if one.written is not None), NAMED_KEYS))
    after = {**counts, **order.more, "keys": keys}
    about = f"{counts['written'] + counts['ended']} records"
    try:
        audited(order.actor, "bulk write", stream.name, about, after=after)
    except DatabaseError as exc:
        # It is written already, and the registry may be but the mirror; a write that stands is not told as failed.
        log.warning("%s wrote %s of %s, which the audit lacks: %s", order.actor, counts, stream.name, exc)
