"""The canary of every stream that is mirrored: a write is noted, and what is noted is relayed."""

from dualwrite import switch
from dualwrite.control.canary import PATIENCE_SECONDS, canary, traceless
from dualwrite.control.relaying import relaying
from dualwrite.models import Measure
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.parameters import CANARY_TIMEOUT_SECONDS
from dualwrite.stream import Stream
from dualwrite.validation.standing import reason_to_skip


def source(stream: Stream) -> Source:
    """One a stream, as each takes seconds where nothing is relayed."""
    limit = CANARY_TIMEOUT_SECONDS.value() + 10.0
    return Source(f"canary {stream.name}", (Measure.CANARY_LOST,), lambda: _canary(stream), limit)


def _canary(stream: Stream) -> list[Sample]:
    """Nothing of a stream that is off, complete or stands still: there a noted key is not to be relayed."""
    if reason_to_skip(stream):
        return []
    store = switch.authority(stream).store
    attended = relaying(stream, store, patience=PATIENCE_SECONDS)
    found = traceless(stream, store) if attended.why else canary(stream, store)
    if found.why:
        return [yes(Measure.CANARY_LOST, stream.name, found.why)]
    if attended.why:  # a rule of its own is about that
        return [unknown(Measure.CANARY_LOST, stream.name, f"nothing can be seen relayed: {attended.why}")]
    if all("skipped" in facts for facts in found.facts.values()):
        return [unknown(Measure.CANARY_LOST, stream.name, f"nothing could be tried: {found.facts}")]
    return [yes(Measure.CANARY_LOST, stream.name, "")]
