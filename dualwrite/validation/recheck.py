"""From candidate to verdict, key by key: authority, nothing pending, mirror, authority again."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dualwrite import outbox
from dualwrite.models import ParkedKey
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream, split_keyless
from dualwrite.validation import rows

#: Seconds waited before the next look at keys that have not come to rest.
PATIENCE = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
#: Keys read by one statement.
CHUNK = 500


class Kind(StrEnum):
    """What is wrong with a key."""

    MISSING = "missing_in_mirror"
    EXTRA = "extra_in_mirror"
    MISMATCH = "field_mismatch"
    UNSETTLED = "unsettled"  #: it never came to rest: neither a difference nor equal


@dataclass(frozen=True)
class Verdict:
    """A key that differs, with both stores' records and what is known of its way."""

    kind: Kind
    key: str
    authority: list[dict[str, Any]]
    mirror: list[dict[str, Any]]
    history: str


@dataclass(frozen=True)
class Row:
    """A present row: its content as compared, its version in its own store, its fields as text."""

    content: str
    version: str
    fields: dict[str, Any]


Rows = dict[str, list[Row]]


@dataclass(frozen=True)
class Look:
    """What one look at a key found in both stores."""

    authority: list[Row]
    mirror: list[Row]

    @property
    def equal(self) -> bool:
        """Whether both stores have the same records."""
        return [row.content for row in self.authority] == [row.content for row in self.mirror]


def recheck(stream: Stream, authority: Store, keys: Sequence[str]) -> Iterator[Verdict]:
    """The verdicts about candidate keys; a key that turns out equal gives none.

    A difference counts only when two looks in a row, some time apart, find the same: a key that was changed, relayed
    and changed back between the reads of one look would otherwise seem different.
    """
    found: dict[str, Look | None] = dict.fromkeys(keys)
    pause = threading.Event()
    for patience in (0.0, *PATIENCE):
        pause.wait(patience)
        for chunk in _chunks(list(found)):
            for key, look in _look(stream, authority, chunk).items():
                if look is not None and look.equal:
                    del found[key]
                elif look is not None and look == found[key]:
                    del found[key]
                    yield _verdict(stream, key, look)
                else:
                    found[key] = look
        if not found:
            return
    for key, look in found.items():
        yield Verdict(
            Kind.UNSETTLED,
            key,
            _fields(look.authority if look else []),
            _fields(look.mirror if look else []),
            "pending",
        )


def _look(stream: Stream, authority: Store, keys: Sequence[str]) -> dict[str, Look | None]:
    """A look at each key, None for one that does not rest: noted and not relayed, or written between the two reads."""
    before = read(stream, authority, keys)
    waiting = outbox.pending_of(stream, authority, keys)
    mirror = read(stream, authority.peer, keys)
    after = read(stream, authority, keys)
    return {
        key: None
        if key in waiting or before.get(key) != after.get(key)
        else Look(after.get(key, []), mirror.get(key, []))
        for key in keys
    }


def _verdict(stream: Stream, key: str, look: Look) -> Verdict:
    kind = Kind.MISSING if not look.mirror else Kind.MISMATCH if look.authority else Kind.EXTRA
    parked = ParkedKey.objects.filter(stream=stream.name, key=key).exists()
    history = "parked" if parked else "never captured"
    return Verdict(kind, key, _fields(look.authority), _fields(look.mirror), history)


def _fields(rows: list[Row]) -> list[dict[str, Any]]:
    return [row.fields for row in rows]


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))


def read(stream: Stream, store: Store, keys: Sequence[str]) -> Rows:
    """The present rows of the keys, each list in one order; a key without row is missing from the result."""
    whole, keyless = split_keyless(keys)
    found: Rows = {}
    for some, by_key_text in ((whole, False), (keyless, True)):
        if not some:
            continue
        query = rows.records(stream, store, by_key_text=by_key_text)
        with cursor(store) as session:
            session.execute(query.as_string(session.connection), {"keys": some})
            for key, content, version, fields in session.fetchall():
                found.setdefault(str(key), []).append(Row(str(content), str(version), json.loads(fields)))
    return {key: sorted(some, key=lambda row: row.content) for key, some in found.items()}
