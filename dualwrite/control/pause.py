"""`pause` and `resume`: the relay stands still, or goes on. Writes go on being noted, so nothing is lost."""

from dualwrite import switch
from dualwrite.exceptions import Held, Refused
from dualwrite.models import StreamControl
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor


def pause(stream: Stream, actor: Actor) -> bool:
    """Stop relaying the stream; returns whether that changed anything. Raises Refused for a stream never enabled."""
    with reaching(Store.REGISTRY):
        changed = StreamControl.objects.filter(stream=stream.name, paused=False).update(paused=True)
        if not changed and not StreamControl.objects.filter(stream=stream.name).exists():
            raise Refused(f"stream {stream.name} was never enabled, so there is nothing to pause")
    if changed:
        switch.audit(Store.REGISTRY, actor, "pause", stream.name)
    return bool(changed)


def resume(stream: Stream, actor: Actor, *, force: bool = False) -> bool:
    """Go on relaying; returns whether that changed anything.

    A stream that the brake holds needs `force` and a reason: the deletes it held back are then made. Raises Held
    without, Refused for a stream never enabled.
    """
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
        if control is None:
            raise Refused(f"stream {stream.name} was never enabled, so there is nothing to resume")
        if control.held_because and not (force and actor.reason):
            raise Held(f"stream {stream.name}: {control.held_because}; go on with --force and --reason")
        lifted = {"held_because": "", "brake_lifted": True} if control.held_because else {}
        if not control.paused and not lifted:
            return False
        # Only what was seen is confirmed: if the brake held for another reason meanwhile, nothing is changed.
        seen = StreamControl.objects.filter(stream=stream.name, held_because=control.held_because)
        changed = seen.update(paused=False, **lifted)
    if changed:
        evidence = {"held_because": control.held_because} if lifted else None
        switch.audit(Store.REGISTRY, actor, "resume", stream.name, evidence)
    return bool(changed)
