"""A write is noted and its key relayed, in every stream that is mirrored."""

from dualwrite import capture, switch
from dualwrite.control.canary import canary
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.stages import Store
from dualwrite.stores import present
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.standing import reason_to_skip


def check(_: Service) -> str:
    """A canary through each stream; one that is complete has only the registry, whose triggers are looked at."""
    told = [_of(stream) for stream in all_streams()]
    if Store.SCREENER in present() and not any(flew for flew, _ in told):
        found = "; ".join(said for _, said in told)
        raise NotReady(f"no stream is mirrored ({found}): manage.py dualwrite enable --all")
    return "; ".join(said for _, said in told)


def _of(stream: Stream) -> tuple[bool, str]:
    if why := reason_to_skip(stream):
        return "complete" in why, f"{stream.name}: {why}"
    for store in present():
        capture.require(stream, store)
    authority = switch.authority(stream).store
    found = canary(stream, authority)
    if found.why:
        raise NotReady(f"stream {stream.name}: {found.why}; {found.mend}")
    return True, f"{stream.name}: a key of the {authority} was noted and reached the {authority.peer}"
