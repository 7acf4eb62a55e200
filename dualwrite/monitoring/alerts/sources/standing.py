"""What the streams' status tells: lag, the oldest note, parked keys; and whether triggers are as installed."""

from collections.abc import Mapping
from typing import Any

from dualwrite import capture
from dualwrite.exceptions import DualWriteError
from dualwrite.models import Measure, StreamControl
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.monitoring.streams import stream_rows
from dualwrite.stages import Stage, Store
from dualwrite.stores import failing, first_stage, present
from dualwrite.stream import Stream, all_streams

#: Of a stream that is not mirrored nothing is to be relayed; of one that is disabled the validation speaks.
FOLLOWED = ("active", "paused", None)


def standing() -> list[Sample]:
    """Ask every stream; each has its limit, and one that could not be asked is unknown."""
    return [sample for row in stream_rows(all_streams()) for sample in from_row(row)]


def from_row(row: Mapping[str, Any]) -> list[Sample]:
    """The samples of one line of `dualwrite status`."""
    name, because = row["name"], "; ".join(gate["why"] for gate in row["blocked_by"])
    found = [_number(Measure.PARKED, name, row["parked"], because, "{:g} keys are parked")]
    if row["mirroring"] in FOLLOWED:
        age, lag = row["outbox"]["oldest_age_seconds"], row["lag_seconds"]
        found.append(_number(Measure.OLDEST_PENDING, name, age, because, "the oldest noted key waits for {:.0f} s"))
        found.append(_number(Measure.LAG, name, lag, because, "the mirror is {:.0f} s behind"))
    return found


def _number(measure: Measure, name: str, value: float | None, because: str, words: str) -> Sample:
    if value is None:
        return unknown(measure, name, because or "the status does not tell it")
    return Sample(measure, name, float(value), words.format(value))


def triggers() -> list[Sample]:
    """Look at what is installed for every stream in every store it has a part in."""
    return [_triggers(stream, store) for stream in all_streams() for store in _stores(stream)]


def _triggers(stream: Stream, store: Store) -> Sample:
    subject = f"{stream.name} in {store}"
    try:
        return yes(Measure.CAPTURE_BROKEN, subject, "; ".join(capture.problems(stream, store)))
    except DualWriteError as exc:
        return unknown(Measure.CAPTURE_BROKEN, subject, str(exc))


def _stores(stream: Stream) -> tuple[Store, ...]:
    with failing(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    stage = Stage(control.stage) if control else first_stage()
    return (stage.authority,) if stage.ends_the_way_back else present()


STANDING = Source("stream status", (Measure.LAG, Measure.OLDEST_PENDING, Measure.PARKED), standing, 7.0)
TRIGGERS = Source("triggers", (Measure.CAPTURE_BROKEN,), triggers)
