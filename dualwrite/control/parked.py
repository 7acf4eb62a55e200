"""Parked keys: list them, send them again, or give one up."""

from collections.abc import Sequence

from django.db import transaction

from dualwrite import outbox, switch
from dualwrite.control import transition as stage_change
from dualwrite.control.reasons import require_reason
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
    stage_change.require_not_complete(stream)
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


def skip(stream: Stream, actor: Actor, key: str) -> ParkedKey:
    """Give a parked key up and return what it was; the audit keeps its error and record, the mirror what it has.

    It is not forgotten by the proof: where the stores differ a validation goes on finding it, until the key is written
    or repaired. Raises UsageError without a reason, or for a key that is not parked.
    """
    require_reason(actor, "skip")
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        row = ParkedKey.objects.select_for_update().filter(stream=stream.name, key=key).first()
        if row is None:
            raise UsageError(f"not parked in {stream.name}: {key}")
        about = {"key": key, "error": row.error, "attempts": row.attempts, "record": row.record}
        switch.audit(Store.REGISTRY, actor, "skip", stream.name, about)
        ParkedKey.objects.filter(pk=row.pk).delete()
    return row
