"""Parked keys: list them, and send them again."""

from collections.abc import Sequence

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.exceptions import Refused, UsageError
from dualwrite.models import ParkedKey
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor


def parked(stream: Stream, limit: int = 100) -> list[ParkedKey]:
    """The stream's parked keys, longest parked first."""
    with reaching(Store.REGISTRY):
        return list(ParkedKey.objects.filter(stream=stream.name).order_by("first_parked_at", "id")[:limit])


def parked_count(stream: Stream) -> int:
    """How many keys of the stream are parked."""
    with reaching(Store.REGISTRY):
        return ParkedKey.objects.filter(stream=stream.name).count()


def redrive(stream: Stream, actor: Actor, keys: Sequence[str] | None = None) -> int:
    """Note parked keys again, all or the given ones; returns how many. They stay listed until they were applied.

    Raises UsageError for a key that is not parked, Refused when nothing is mirrored, as it would wait for ever.
    """
    transition.require_not_complete(stream)
    authority = switch.authority(stream)
    if not authority.capture:
        raise Refused(f"stream {stream.name}: nothing is mirrored now; `dualwrite enable` sends parked keys again")
    with reaching(Store.REGISTRY):
        rows = ParkedKey.objects.filter(stream=stream.name)
        found = list((rows if keys is None else rows.filter(key__in=keys)).values_list("key", flat=True))
    unknown = set(keys or ()) - set(found)
    if unknown:
        raise UsageError(f"not parked in {stream.name}: {', '.join(sorted(unknown))}")
    if found:
        outbox.note(stream, authority.store, found, outbox.Cause.REDRIVE)
        switch.audit(Store.REGISTRY, actor, "redrive", stream.name, {"keys": found[:100], "count": len(found)})
    return len(found)
