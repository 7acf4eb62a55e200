"""How many keys could not be applied, of all since the last evaluation, which keeps how far the relay was."""

from collections.abc import Mapping
from datetime import datetime

from dualwrite.control.status import relayed_total
from dualwrite.models import AlertEvaluation, Measure, ParkedKey
from dualwrite.monitoring.alerts.sources import Source, unknown
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.stream import Stream, all_streams


def applying() -> list[Sample]:
    """The share of every stream, in percent."""
    with failing(Store.REGISTRY):
        before = AlertEvaluation.objects.filter(pk=1).first()
        return [_share(stream, before) for stream in all_streams()]


def _share(stream: Stream, before: AlertEvaluation | None) -> Sample:
    was, now = (before.relayed.get(stream.name) if before else None), relayed_total(stream)
    if before is None or was is None:
        return unknown(Measure.APPLY_ERRORS, stream.name, "no evaluation before this one kept how far the relay was")
    if now is None or now < was:
        return unknown(Measure.APPLY_ERRORS, stream.name, "what was relayed so far cannot be told, or counts anew")
    return share(stream.name, now - was, _failed(stream, before.relayed_at))


def _failed(stream: Stream, since: datetime) -> int:
    return ParkedKey.objects.filter(stream=stream.name, last_parked_at__gte=since).count()


def share(name: str, applied: int, failed: int) -> Sample:
    """Of nothing tried nothing failed."""
    tried = applied + failed
    words = f"{failed} of {tried} keys could not be applied"
    return Sample(Measure.APPLY_ERRORS, name, round(100 * failed / tried, 3) if tried else 0.0, words)


def relayed() -> Mapping[str, int]:
    """How far the relay is, for the next evaluation; a stream that cannot be asked is left out."""
    found = {stream.name: relayed_total(stream) for stream in all_streams()}
    return {name: total for name, total in found.items() if total is not None}


SOURCE = Source("relayed keys", (Measure.APPLY_ERRORS,), applying)
