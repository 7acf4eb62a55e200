"""What was given becomes records, and faults with the place they are at. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dualwrite.stream import Stream
from registry.bulk.fields import FIELDS, Wrong

#: So many faults are told; a file that is wrong in every line need not be told so in every line.
MOST_FAULTS = 100


@dataclass(frozen=True)
class Fault:
    """What is wrong with the given, and where: a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str

    @property
    def place(self) -> str:
        """The pointer of the whole record."""
        return "/".join(self.pointer.split("/")[:3])

    def as_data(self) -> dict[str, str]:
        """For JSON."""
        return {"pointer": self.pointer, "detail": self.detail}


@dataclass(frozen=True)
class Item:
    """One record of a list: its number there from 0 on, whether it ends, its fields; None where it is faulty."""

    at: str
    number: int
    ends: bool
    record: Mapping[str, object] | None
    faults: tuple[Fault, ...] = ()

    @property
    def place(self) -> str:
        """The record, as faults point to it."""
        return f"#/{self.at}/{self.number}"


def items(stream: Stream, at: str, given: Sequence[Any], *, ends: bool = False) -> list[Item]:
    """Each of the given as a record; `at`: the name of the list they are in, `ends`: they are keys of what ends."""
    names = [field.name for field in (stream.key if ends else (*stream.key, *stream.fields))]
    return [_item(stream, at, number, one, names, ends) for number, one in enumerate(given)]


def faults_of(found: Sequence[Item]) -> list[Fault]:
    """Every fault, also those of two records that have one key."""
    faults = [fault for item in found for fault in item.faults]
    seen: dict[object, Item] = {}
    for item in found:
        if item.record is None:
            continue
        first = seen.setdefault(key_of(item), item)
        if first is not item:
            faults.append(Fault(item.place, f"the same key as {first.place}"))
    return faults


def key_of(item: Item) -> object:
    """What tells records apart."""
    record = item.record or {}
    return record.get("instrument_key"), record.get("index_id")


def _item(stream: Stream, at: str, number: int, given: Any, names: Sequence[str], ends: bool) -> Item:
    place = f"#/{at}/{number}"
    if not isinstance(given, Mapping):
        fault = Fault(place, f"valid: an object with {', '.join(names)}")
        return Item(at, number, ends, None, (fault,))
    checks = FIELDS[stream.name]
    faults = [Fault(_pointer(place, n), f"unknown; valid: {', '.join(names)}") for n in given if n not in names]
    record: dict[str, object] = {}
    for name in names:
        if name not in given:
            faults.append(Fault(_pointer(place, name), "missing; null says that there is no value"))
            continue
        try:
            record[name] = checks[name](given[name])
        except Wrong as exc:
            faults.append(Fault(_pointer(place, name), str(exc)))
    return Item(at, number, ends, None if faults else record, tuple(faults))


def _pointer(place: str, name: object) -> str:
    return f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}"
