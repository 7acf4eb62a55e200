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
from dualwrite.stream import Stream
from dualwrite.validation import rows

#: Seconds waited before the next look at keys that have not come to rest.
PATIENCE = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)


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


Records = dict[str, list[tuple[str, dict[str, Any]]]]


def recheck(stream: Stream, authority: Store, keys: Sequence[str]) -> Iterator[Verdict]:
    """The verdicts about candidate keys; a key that turns out equal gives none."""
    open_keys = list(keys)
    pause = threading.Event()
    for patience in (*PATIENCE, None):
        before = read(stream, authority, open_keys)
        waiting = outbox.pending_of(stream, authority, open_keys)
        mirror = read(stream, authority.peer, open_keys)
        after = read(stream, authority, open_keys)
        restless = [k for k in open_keys if k in waiting or before.get(k) != after.get(k)]
        resting = [k for k in open_keys if k not in set(restless)]
        yield from _verdicts(stream, resting, after, mirror)
        open_keys = restless
        if not open_keys:
            return
        if patience is not None:
            pause.wait(patience)
    for key in open_keys:
        yield Verdict(Kind.UNSETTLED, key, _fields(after, key), _fields(mirror, key), "pending")


def _verdicts(stream: Stream, keys: Sequence[str], authority: Records, mirror: Records) -> Iterator[Verdict]:
    differing = [k for k in keys if _contents(authority, k) != _contents(mirror, k)]
    if not differing:
        return
    parked = set(ParkedKey.objects.filter(stream=stream.name, key__in=differing).values_list("key", flat=True))
    for key in differing:
        history = "parked" if key in parked else "never captured"
        yield Verdict(_kind(authority, mirror, key), key, _fields(authority, key), _fields(mirror, key), history)


def _kind(authority: Records, mirror: Records, key: str) -> Kind:
    if not mirror.get(key):
        return Kind.MISSING
    return Kind.MISMATCH if authority.get(key) else Kind.EXTRA


def _contents(records: Records, key: str) -> list[str]:
    return [content for content, _ in records.get(key, [])]


def _fields(records: Records, key: str) -> list[dict[str, Any]]:
    return [fields for _, fields in records.get(key, [])]


def read(stream: Stream, store: Store, keys: Sequence[str]) -> Records:
    """The present records of the keys, each list in one order; a key without record is missing from the result."""
    keyless = [key for key in keys if None in json.loads(key)]
    whole = [key for key in keys if key not in set(keyless)]
    found: Records = {}
    for some, by_key_text in ((whole, False), (keyless, True)):
        if not some:
            continue
        query = rows.records(stream, store, by_key_text=by_key_text)
        with cursor(store) as session:
            session.execute(query.as_string(session.connection), {"keys": some})
            for key, content, fields in session.fetchall():
                values = json.loads(fields) if isinstance(fields, str) else fields
                found.setdefault(str(key), []).append((str(content), values))
    return found
