"""What it means that an answer and the other store differ: comparing two readings is pure, the second look is not."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dualwrite.stages import Store
from dualwrite.stream import Stream, key_text
from dualwrite.validation.look import Look, look_at
from dualwrite.validation.tolerance import Rule
from registry.reading.records import Record

#: So many differing keys are looked at again; more are one and the same fault.
LOOKED_AT = 50
#: Between two looks at a key that differs, in seconds.
PAUSE_SECONDS = 0.1


class Result(StrEnum):
    """How a comparison ended."""

    EQUAL = "equal"
    MISMATCH = "mismatch"  #: a record differs and rests
    IGNORED = "ignored"  #: whatever differs is known
    UNSETTLED = "unsettled"  #: what differed was being written
    TIMEOUT = "timeout"  #: the other store did not answer in time
    FAILED = "failed"  #: it could not be asked
    DROPPED = "dropped"  #: too many wait already


@dataclass(frozen=True)
class Difference:
    """One key: the record that was told, that of the other store, and the fields that differ."""

    key: str
    served: Record | None
    other: Record | None
    fields: tuple[str, ...]


def differences(
    stream: Stream, served: Sequence[Record], other: Sequence[Record], limit: int | None = None
) -> list[Difference]:
    """The keys whose records are not the same. Of pages that are full, only as far as both reach."""
    key_fields, names = [part.name for part in stream.key], [field.name for field in stream.fields]
    ones = {tuple(str(record[name]) for name in key_fields): record for record in served}
    others = {tuple(str(record[name]) for name in key_fields): record for record in other}
    full = [max(side, key=_by_bytes) for side in (ones, others) if limit is not None and len(side) >= limit]
    reach = min(map(_by_bytes, full), default=None)
    found = []
    for key in ones.keys() | others.keys():
        if reach is not None and _by_bytes(key) > reach:
            continue
        one, two = ones.get(key), others.get(key)
        apart = tuple(n for n in names if (one or {}).get(n) != (two or {}).get(n)) if one and two else tuple(names)
        if apart:
            found.append(Difference(key_text(list(key)), one, two, apart))
    return found


def _by_bytes(key: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in key)


def resting(stream: Stream, authority: Store, keys: Sequence[str], until: float) -> tuple[set[str], set[str]]:
    """Of keys that differed: those that still do and rest, and those of which that cannot be told by then.

    `until`: by the clock of time.monotonic. As a validation does it: two looks in a row must find the same.
    """
    rule = Rule(stream.fields)
    pause = threading.Event()
    seen: dict[str, Look] = {}
    left, different = list(keys), set[str]()
    while left:
        looks = look_at(stream, authority, left, rule)
        left = [key for key in left if not (looks[key].rests and looks[key].agrees(rule))]
        settled = [key for key in left if looks[key].rests and looks[key] == seen.get(key)]
        different.update(settled)
        left = [key for key in left if key not in different]
        seen = {key: looks[key].remembered for key in left}
        if time.monotonic() + PAUSE_SECONDS >= until:
            break
        if left:
            # Nobody tells when a relay has come by; a look too early only means another one.
            pause.wait(PAUSE_SECONDS)
    return different, set(left)
