"""`pause` and `resume`: the relay stands still, or goes on. Writes go on being noted, so nothing is lost."""

from django.db import transaction

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.control.reasons import require_reason
from dualwrite.exceptions import Held, Refused
from dualwrite.models import StreamControl
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor


def pause(stream: Stream, actor: Actor, *, dry_run: bool = False) -> bool:
    """Stop relaying the stream; returns whether that changed anything, or with `dry_run` whether it would.

    Raises Refused for a stream never enabled, or complete.
    """
    transition.require_not_complete(stream)
    if dry_run:
        return not _control(stream, "pause").paused
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        changed = StreamControl.objects.filter(stream=stream.name, paused=False).update(paused=True)
        if changed:
            switch.audit(Store.REGISTRY, actor, "pause", stream.name)
        else:
            _control(stream, "pause")
    return bool(changed)


def _control(stream: Stream, verb: str) -> StreamControl:
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    if control is None:
        raise Refused(f"stream {stream.name} was never enabled, so there is nothing to {verb}")
    return control


def resume(stream: Stream, actor: Actor, *, force: bool = False, dry_run: bool = False) -> bool:
    """Go on relaying; returns whether that changed anything, or with `dry_run` whether it would.

    A stream that the brake holds needs `force` and a reason: the deletes it held back are then made. Raises Held
    without `force`, UsageError for `force` without a reason, Refused for a stream never enabled, or complete.
    """
    require_reason(actor, "force", needed=force)
    transition.require_not_complete(stream)
    control = _control(stream, "resume")
    if control.held_because and not force:
        raise Held(f"stream {stream.name}: {control.held_because}; go on with --force and --reason")
    changes = control.paused or bool(control.held_because)
    if dry_run or not changes:
        return changes
    with reaching(Store.REGISTRY):
        return _go_on(stream, actor, control)


def _go_on(stream: Stream, actor: Actor, control: StreamControl) -> bool:
    changes: dict[str, object] = {"paused": False}
    if control.held_because:
        # What waits now is confirmed, what is noted later is not.
        newest = outbox.highest(stream, switch.authority(stream).store)
        changes |= {"held_because": "", "brake_lifted_until": newest}
    with transaction.atomic(using=Store.REGISTRY.alias):
        # Only what was seen is confirmed: if the brake holds for another reason meanwhile, nothing is changed.
        seen = StreamControl.objects.filter(stream=stream.name, held_because=control.held_because)
        changed = bool(seen.update(**changes))
        if changed:
            switch.audit(Store.REGISTRY, actor, "resume", stream.name, {"held_because": control.held_because})
    return changed
