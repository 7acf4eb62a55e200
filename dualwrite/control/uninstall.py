"""`uninstall`: take the engine out of a store, unless a stream still relies on it."""

from dualwrite import capture, switch
from dualwrite.control.reasons import require_reason
from dualwrite.exceptions import NotInstalled, Refused
from dualwrite.stages import Role, Store
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor, State


def uninstall(store: Store, actor: Actor, *, force: bool = False) -> None:
    """Remove triggers, functions and tables, keeping the audit.

    Raises UsageError without a reason; Refused when a stream captures or is mirrored there, or has left the store and
    the triggers tell forgotten writers so, and `force` is not given.
    """
    require_reason(actor, "uninstalling")
    busy = [stream.name for stream in all_streams() if _relies_on(stream, store)]
    if busy and not force:
        raise Refused(
            f"streams {', '.join(busy)} rely on the {store} store's triggers, which note writes or refuse those of "
            "forgotten writers; --force removes them all the same"
        )
    switch.audit(store, actor, "uninstall", evidence={"relied_on_by": busy, "force": force})
    capture.uninstall(store)


def _relies_on(stream: Stream, store: Store) -> bool:
    try:
        state = switch.state(stream, store)
    except NotInstalled:
        return False
    return state.capture or state.role in (Role.MIRROR, Role.FENCED) or _refuses_forgotten_writers(stream, state)


def _refuses_forgotten_writers(stream: Stream, state: State) -> bool:
    """Whether the stream is complete and this is the store it left: without the guard, writes there are lost."""
    left = state.store is Store.SCREENER and state.role is Role.DETACHED
    return left and switch.state(stream, Store.REGISTRY).role is Role.AUTHORITY
