"""`uninstall`: take the engine out of a store, unless a stream still relies on it."""

from dualwrite import capture, switch
from dualwrite.exceptions import NotInstalled, Refused
from dualwrite.stages import Role, Store
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor


def uninstall(store: Store, actor: Actor, *, force: bool = False) -> None:
    """Remove triggers, functions and tables, keeping the audit.

    Raises Refused without a reason, or when a stream captures or is mirrored there and `force` is not given.
    """
    if not actor.reason:
        raise Refused("uninstalling needs a reason")
    busy = [stream.name for stream in all_streams() if _relies_on(stream, store)]
    if busy and not force:
        raise Refused(
            f"streams {', '.join(busy)} rely on the {store} store's triggers; --force removes them all the same"
        )
    switch.audit(store, actor, "uninstall", evidence={"relied_on_by": busy, "force": force})
    capture.uninstall(store)


def _relies_on(stream: Stream, store: Store) -> bool:
    try:
        state = switch.state(stream, store)
    except NotInstalled:
        return False
    return state.capture or state.role in (Role.MIRROR, Role.FENCED)
