"""Writing records: to the authority, whichever that is now, then to the mirror."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from django.db import Error as DatabaseError
from django.db import transaction

from dualwrite import measured, switch
from dualwrite.breaker import breaker_of
from dualwrite.exceptions import NotAuthority, RecordRefused, StoreUnreachable
from dualwrite.failpoints import reach
from dualwrite.models import StreamControl
from dualwrite.parameters import INLINE_RELAY_SECONDS, RETRY_ATTEMPTS
from dualwrite.stages import Stage, Store
from dualwrite.stores import present, reaching
from dualwrite.stream import Stream
from dualwrite.writing import lane, records, table
from dualwrite.written import InStore, Outcome, Written

#: A stage read this long ago still tells whether there is a mirror; what it decides is only what the answer says.
STAGE_MAX_AGE_SECONDS = 1.0
#: The same where the registry could not be asked.
STAGE_ASKED_AGAIN_SECONDS = 30.0
AT_COMMIT = "mirrored when the caller's transaction commits"
UNTOLD = "left to the relay, as nobody is told when a connection without autocommit commits"
TOO_MANY = f"more than {lane.MOST_KEYS} keys at once are left to the relay"
NOT_ASKED = "INLINE_RELAY_SECONDS is 0"

#: The store that took the last write. It need not be right: a store that takes no writes refuses, and then it is asked.
_authorities: dict[str, Store] = {}
_stages: dict[str, tuple[float, bool]] = {}


def write(stream: Stream, given: Sequence[Mapping[str, object]]) -> list[Written]:
    """Write canonical records, each with every field of the stream by name, the key's included; all of them or none.

    Returns for each record its key and what each store has of it; the mirror, when it does not have it yet, gets it by
    the relay. In a transaction of the caller's on the authority's connection it is part of that. Raises RecordInvalid,
    RecordRefused, NotAuthority when the roles changed twice or under the caller's transaction, StoreUnreachable and
    StoreFailed of the authority, AuthorityUnknown, NotInstalled. Whatever the mirror does raises nothing.
    """
    text = records.as_json(stream, given)
    return _carry_out(stream, partial(table.put, stream), text) if given else []


def remove(stream: Stream, keys: Sequence[Mapping[str, object]]) -> list[Written]:
    """Remove the records of these keys, each a mapping of the key's fields by name; all of them or none.

    Returns what each store has of those that there were; a key without a record is not among them, as nothing was done
    about it. Everything else as `write`; the brake judges it on the mirror as any other delete.
    """
    text = records.keys_as_json(stream, keys)
    return _carry_out(stream, partial(table.remove, stream), text) if keys else []


def amend(stream: Stream, given: Sequence[Mapping[str, object]]) -> list[Written]:
    """Change some fields of existing records, the same in all: each maps the key's fields and these to values.

    Returns what each store has of those that there were, as `remove`.
    """
    fields, text = records.amended_as_json(stream, given)
    return _carry_out(stream, partial(table.amend, stream, fields), text) if given else []


Put = Callable[[Store, str], list[tuple[str, int]]]


def _carry_out(stream: Stream, put: Put, text: str) -> list[Written]:
    # Before anything is written: what is found wrong later could only be told by failing a write that was made.
    seconds = INLINE_RELAY_SECONDS.value()
    began = time.monotonic()
    store, placed = _to_authority(stream, put, text)
    job = lane.Job(store, [key for key, _ in placed], dict(placed))
    written = InStore(Outcome.WRITTEN, round((job.since - began) * 1000, 3))
    measured.took(stream.name, store.value, job.since - began)
    reach("write committed")
    if not placed:
        return []
    mirrored = _to_mirror(stream, job, seconds)
    return [
        Written(key, {store: written, **({store.peer: mirrored[key]} if mirrored is not None else {})})
        for key in job.keys
    ]


def _to_authority(stream: Stream, put: Put, text: str) -> tuple[Store, list[tuple[str, int]]]:
    store = _authorities.get(stream.name) or _read_authority(stream)
    reach("write may begin")
    try:
        return store, _put(put, store, text)
    except NotAuthority as exc:
        _authorities.pop(stream.name, None)
        if table.in_callers_transaction(store):
            raise NotAuthority(
                f"{exc.detail}; a transaction is open there, so it is for its owner to begin anew"
            ) from exc
        now = _read_authority(stream)
    except StoreUnreachable:
        _authorities.pop(stream.name, None)
        # It may be the mirror by now, which fails no write. Where it still takes the writes, or nobody knows, it fails.
        if table.in_callers_transaction(store) or (now := _read_authority(stream)) is store:
            raise
    reach("write may begin again")
    return now, _put(put, now, text)


def _read_authority(stream: Stream) -> Store:
    store = switch.authority(stream).store
    _authorities[stream.name] = store
    return store


def _put(put: Put, store: Store, text: str) -> list[tuple[str, int]]:
    """Write, again where another writer was in the way; in a caller's transaction that is the caller's decision."""
    attempts = 1 if table.in_callers_transaction(store) else RETRY_ATTEMPTS.value()
    for left in reversed(range(attempts)):
        try:
            return put(store, text)
        except table.InTheWay as exc:
            if not left:
                raise RecordRefused(exc.detail) from exc
    raise AssertionError("there is at least one attempt")


def _to_mirror(stream: Stream, job: lane.Job, seconds: float) -> Mapping[str, InStore] | None:
    """What the mirror has of the keys; None where there is none."""
    if not _is_mirrored(stream, job.authority):
        return None
    if not seconds:
        return lane.outcomes(job, Outcome.PENDING, NOT_ASKED)
    if len(job.keys) > lane.MOST_KEYS:
        return lane.outcomes(job, Outcome.PENDING, TOO_MANY)
    if table.in_callers_transaction(job.authority):
        told = _when_committed(job.authority, partial(lane.begin, stream, job))
        return lane.outcomes(job, Outcome.PENDING, AT_COMMIT if told else UNTOLD)
    used = lane.begin(stream, job)
    if isinstance(used, str):
        return lane.outcomes(job, Outcome.PENDING, used)
    return used.wait(job, seconds)


def _when_committed(store: Store, action: Callable[[], object]) -> bool:
    """Do it after the caller's commit; false where nobody is told of that."""
    if not transaction.get_connection(using=store.alias).in_atomic_block:
        return False
    transaction.on_commit(action, using=store.alias)
    return True


def _is_mirrored(stream: Stream, authority: Store) -> bool:
    """Whether the other store is part of the stream, as far as is known; the registry may be away as its mirror."""
    if Store.SCREENER not in present():
        return False
    ask_at, known = _stages.get(stream.name, (float("-inf"), True))
    if time.monotonic() < ask_at or (authority is Store.SCREENER and not breaker_of(Store.REGISTRY).is_closed()):
        return known
    for_seconds = STAGE_MAX_AGE_SECONDS
    try:
        with reaching(Store.REGISTRY):
            control = StreamControl.objects.filter(stream=stream.name).first()
        known = Stage(control.stage).mirrors if control else False
    except (StoreUnreachable, DatabaseError):
        for_seconds = STAGE_ASKED_AGAIN_SECONDS
    _stages[stream.name] = (time.monotonic() + for_seconds, known)
    return known


def close() -> None:
    """End what this process keeps for writing, and forget what it knows; a later write begins anew."""
    lane.close()
    _authorities.clear()
    _stages.clear()
