"""Whether keys noted now will be relayed: nobody stopped the stream, and a living relay works on it."""

from dualwrite import switch
from dualwrite.control.evidence import Evidence, pauses
from dualwrite.models import StreamControl
from dualwrite.relay.fleet import lock_name
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, reaching
from dualwrite.stream import Stream


def relaying(stream: Stream, authority: Store, *, patience: float = 0.0) -> Evidence:
    """How the stream is relayed. `patience`: seconds given to a relay that is just starting.

    Raises StoreUnreachable.
    """
    control = _control(stream)
    why, mend = _stopped(stream, control)
    held, number = 0, switch.state(stream, authority).partitions
    for _ in pauses(0.0 if why else patience):
        held = _held(stream, authority, number)
        if held == number:
            break
    if not why:
        why, mend = _unattended(stream, held, number)
    facts = {
        "paused": control.paused,
        "held_because": control.held_because,
        "partitions_held": held,
        "partitions": number,
    }
    return Evidence(facts, why, mend)


def _control(stream: Stream) -> StreamControl:
    with reaching(Store.REGISTRY):
        found = StreamControl.objects.filter(stream=stream.name).first()
    return found or StreamControl(stream=stream.name)


def _stopped(stream: Stream, control: StreamControl) -> tuple[str, str]:
    resume = f"manage.py dualwrite resume --stream {stream.name}"
    if control.held_because:
        return f"the relay stopped by itself: {control.held_because}", f"{resume} --force --reason WHY"
    return ("an operator paused the stream", resume) if control.paused else ("", "")


def _unattended(stream: Stream, held: int, number: int) -> tuple[str, str]:
    if held == number:
        return "", ""
    if not held:
        return f"no relay works on stream {stream.name}", f"manage.py relay --stream {stream.name}"
    why = f"relays work on {held} of the {number} partitions of stream {stream.name} only"
    return why, f"manage.py relay --stream {stream.name}"


def _held(stream: Stream, store: Store, number: int) -> int:
    names = [lock_name(stream, partition) for partition in range(number)]
    with cursor(store) as found:
        found.execute(statement("gates", "partitions_held"), {"names": names})
        return int(found.fetchone()[0])
