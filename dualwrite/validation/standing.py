"""Whether a stream can be compared now: which store is compared with which, and why it would be for nothing."""

from dualwrite import switch
from dualwrite.exceptions import Refused
from dualwrite.models import StreamControl
from dualwrite.stages import Role, Store
from dualwrite.stores import present, reaching, require_present
from dualwrite.stream import Stream
from dualwrite.switch import State


def comparable(stream: Stream) -> State:
    """The state of the store that takes the writes, the other one being its mirror or becoming it.

    Raises NoOldStore, Refused for a stream that is complete, WrongStore, AuthorityUnknown, StoreUnreachable.
    """
    require_present(Store.SCREENER, f"stream {stream.name} has nothing to be compared with")
    switch.require_pair()
    here = switch.authority(stream)
    if here.store is Store.REGISTRY and switch.state(stream, Store.SCREENER).role is Role.DETACHED:
        raise Refused(f"stream {stream.name} is complete: the old store follows no more, nothing is to be compared")
    return here


def reason_to_skip(stream: Stream) -> str:
    """Why nobody needs a validation that nobody asked for; empty when it is of use. Raises as `comparable`."""
    if Store.SCREENER not in present():
        return "there is no old store to be compared with"
    here = switch.authority(stream)
    if here.store is Store.REGISTRY and switch.state(stream, Store.SCREENER).role is Role.DETACHED:
        return "the stream is complete: the old store follows no more"
    if not here.capture:
        return "the stream is not mirrored: it is off or disabled"
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    return _stands_still(control)


def _stands_still(control: StreamControl | None) -> str:
    if control is None or not (control.paused or control.held_because):
        return ""
    return f"the stream stands still: {control.held_because or 'an operator paused it'}"


def is_same(before: State, now: State) -> bool:
    """Whether the same store takes the writes, and noted them all the time."""
    return (now.store, now.epoch, now.generation) == (before.store, before.epoch, before.generation)
