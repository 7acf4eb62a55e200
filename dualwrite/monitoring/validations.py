"""How validation stands: of each stream the run under way and the last one, and when the schedule comes next."""

from dataclasses import dataclass
from datetime import datetime

from dualwrite.exceptions import DualWriteError
from dualwrite.models import Run, ValidationRun, ValidationStatus
from dualwrite.monitoring.schedule import next_run_at
from dualwrite.parameters import VALIDATION_ENABLED, VALIDATION_LEVEL
from dualwrite.runs import is_dead
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.standing import reason_to_skip

TASK = "dualwrite.validation.run"


@dataclass(frozen=True)
class OfStream:
    """Of one stream; `skipped_because`: why there is nothing to compare, empty where there is."""

    stream: str
    running: ValidationRun | None
    last: ValidationRun | None
    last_passed_at: datetime | None
    skipped_because: str


@dataclass(frozen=True)
class Standing:
    """All of it; `enabled`: whether the schedule does anything."""

    enabled: bool
    level: str
    next_run_at: datetime | None
    streams: list[OfStream]


def standing() -> Standing:
    """How it stands now; raises StoreUnreachable, InvalidParameter."""
    return Standing(
        VALIDATION_ENABLED.value(),
        VALIDATION_LEVEL.value(),
        next_run_at(TASK),
        [_of(stream) for stream in all_streams()],
    )


def _of(stream: Stream) -> OfStream:
    with reaching(Store.REGISTRY):
        rows = ValidationRun.objects.filter(stream=stream.name)
        running = rows.filter(status=Run.RUNNING).first()
        last = rows.exclude(status=Run.RUNNING).first()
        passed = rows.filter(status=ValidationStatus.PASSED).values_list("finished_at", flat=True).first()
    alive = running if running is not None and not is_dead(running) else None
    return OfStream(stream.name, alive, last, passed, _why_not(stream))


def _why_not(stream: Stream) -> str:
    try:
        return reason_to_skip(stream)
    except DualWriteError as exc:
        return str(exc)
