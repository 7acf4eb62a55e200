"""What Prometheus is shown, read from rows and kept for some seconds.

A stream that cannot be read keeps its last reading, the totals as well, and the age of the oldest of them tells so.

How it can fail, and the answer: a store hangs or is away → the limits of `side_by_side`, and what was read before; the
machine cannot even begin to ask (no thread, no memory) → the last snapshot is shown and grows old; it is never an error
of the page.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dualwrite import switch
from dualwrite.control.status import stream_status
from dualwrite.exceptions import DualWriteError
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.monitoring import health, totals
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.health import Result
from dualwrite.monitoring.kept import Kept
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.streams import LIMIT_SECONDS, why
from dualwrite.monitoring.totals import Totals
from dualwrite.parameters import VALIDATION_LEVEL
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, present, reaching
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.coverage import coverage
from dualwrite.validation.level import Level

log = logging.getLogger(__name__)

KEPT_SECONDS = 10.0


@dataclass(frozen=True)
class Reading:
    """One stream: status row, keys applied to each store; UNIX seconds of the last passed validation, and since when
    every record has been looked at by one."""

    row: Mapping[str, Any]
    applied: Mapping[Store, int]
    last_success: float | None
    covered_since: float | None
    taken_at: float


@dataclass(frozen=True)
class ReadTotals:
    """Totals and when they were read."""

    totals: Totals
    taken_at: float


@dataclass(frozen=True)
class Snapshot:
    """Readings by stream, health by component, totals; `complete` when all could be read. Times are monotonic."""

    readings: Mapping[str, Reading]
    results: tuple[Result, ...]
    complete: bool
    taken_at: float
    totals: ReadTotals | None = None

    def age_seconds(self, now: float) -> float:
        """Age of the oldest reading shown."""
        times = [one.taken_at for one in (*self.readings.values(), self.totals) if one is not None]
        return max(0.0, now - min(times, default=self.taken_at))


class Snapshots:
    """The latest snapshot, and the one before to fall back on."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS) -> None:
        self._last = Snapshot({}, (), False, time.monotonic())
        self._kept = Kept(self._take, kept_seconds)

    def latest(self) -> Snapshot:
        """The snapshot to be shown now."""
        return self._kept.get()

    def _take(self) -> Snapshot:
        try:
            self._last = take(self._last)
        except Exception:  # whatever it is, Prometheus is to be told of it by a page, not by an error
            log.exception("metrics keep their last values")
            self._last = replace(self._last, complete=False)
        return self._last


def take(before: Snapshot) -> Snapshot:
    """Read everything side by side; what cannot be read stays as it was read before."""
    streams = all_streams()
    tasks: list[Task[Any]] = [*map(health.task, ALL), *map(_task, streams), TOTALS]
    *outcomes, of_totals = side_by_side(tasks)
    of_checks, of_streams = outcomes[: len(ALL)], outcomes[len(ALL) :]
    results = tuple(health.result(check, outcome) for check, outcome in zip(ALL, of_checks, strict=True))
    fresh = {s.name: o.value for s, o in zip(streams, of_streams, strict=True) if o.value is not None}
    for stream, outcome in zip(streams, of_streams, strict=True):
        _say(stream, outcome)
    complete = len(fresh) == len(streams) and of_totals.value is not None
    readings = {**before.readings, **fresh}
    return Snapshot(readings, results, complete, time.monotonic(), of_totals.value or before.totals)


def _task(stream: Stream) -> Task[Reading]:
    return Task(f"metrics {stream.name}", lambda: read(stream), LIMIT_SECONDS)


def _read_totals() -> ReadTotals:
    return ReadTotals(totals.read(), time.monotonic())


TOTALS = Task("metrics totals", _read_totals, LIMIT_SECONDS)


def _say(stream: Stream, outcome: Outcome[Any]) -> None:
    if outcome.value is None:
        log.debug("metrics of stream %s keep their last values: %s", stream.name, why(outcome))


def read(stream: Stream) -> Reading:
    """Read one stream; raises DualWriteError when any of it cannot be told."""
    row = stream_status(stream)
    if None in (row["stage"], row["authority"], row["mirroring"], row["outbox"]["pending"], row["parked"]):
        raise DualWriteError(f"stream {stream.name} cannot be read in full")
    applied = {s: _applied(stream, s) for s in present()}
    return Reading(row, applied, _last_success(stream), _covered_since(stream), time.monotonic())


def _applied(stream: Stream, store: Store) -> int:
    with cursor(store) as found:
        found.execute(statement("status", "applied"), {"stream": stream.name})
        return int(found.fetchone()[0])


def _last_success(stream: Stream) -> float | None:
    with reaching(Store.REGISTRY):
        passed = ValidationRun.objects.filter(stream=stream.name, status=ValidationStatus.PASSED)
        finished = passed.exclude(finished_at=None).values_list("finished_at", flat=True).first()
    return finished.timestamp() if finished else None


def _covered_since(stream: Stream) -> float | None:
    covered = coverage(stream, switch.authority(stream), Level(VALIDATION_LEVEL.value()))
    return min(covered.values()).timestamp() if covered else None
