"""Metrics from rows: right from any process that is asked, and they survive a restart.

Only what the stores hold is here, and health. What a process counts for itself is not.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dualwrite.breaker import Position
from dualwrite.monitoring.health import Result
from dualwrite.monitoring.snapshot import Reading, Snapshot, Snapshots
from dualwrite.monitoring.status import Status
from dualwrite.monitoring.total_families import total_families
from dualwrite.parameters import Origin
from dualwrite.stages import Stage, Store

#: Metric of one value a stream: name, help, the value in the stream's status row.
PLAIN: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float]], ...] = (
    (
        "mirroring",
        "1 while the mirror follows, 0 while it does not.",
        lambda row: row["mirroring"] == "active",
    ),
    (
        "verified",
        "1 when a clean strict validation speaks for the capture in force.",
        lambda row: row["verified"],
    ),
    ("outbox_pending", "Noted keys that wait to be relayed.", lambda row: row["outbox"]["pending"]),
    (
        "outbox_oldest_age_seconds",
        "Age of the oldest noted key, 0 when none waits.",
        lambda row: row["outbox"]["oldest_age_seconds"],
    ),
    ("lag_seconds", "How far the mirror is behind the authority.", lambda row: row["lag_seconds"]),
    ("parked", "Keys set aside because they could not be applied.", lambda row: row["parked"]),
    (
        "mirror_breaker_open",
        "1 while writes do not wait for the mirror, as it could not be reached again and again.",
        lambda row: bool(row["breaker"]) and row["breaker"]["state"] != Position.CLOSED,
    ),
)
CONFIG_SERVICE = "configService"
HEALTH = {Status.UP: 1, Status.DOWN: 0, Status.OUT_OF_SERVICE: 0, Status.UNKNOWN: -1}


class RowsCollector(Collector):
    """Shows the latest snapshot; a stream never read has no series."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        return families(self._snapshots.latest(), time.monotonic())


def families(snapshot: Snapshot, now: float) -> Iterator[Metric]:
    """Every family of a snapshot, looked at at the monotonic time `now`."""
    readings = snapshot.readings
    yield _one_of("stage", "1 for the stage the stream is in.", readings, list(Stage))
    yield _one_of("authority", "1 for the store that takes the writes.", readings, list(Store), label="store")
    for name, meaning, value in PLAIN:
        family = GaugeMetricFamily(f"registry_dualwrite_{name}", meaning, labels=["stream"])
        for stream, reading in readings.items():
            family.add_metric([stream], float(value(reading.row)))
        yield family
    yield _applied(readings)
    yield _time(
        "last_success",
        "When a validation last passed; no series where none ever has.",
        readings,
        lambda reading: reading.last_success,
    )
    yield _time(
        "covered_since",
        "When the part of the stream was looked at that waits longest; no series before a look at everything.",
        readings,
        lambda reading: reading.covered_since,
    )
    if snapshot.totals is not None:
        yield from total_families(snapshot.totals.totals)
    yield _health(snapshot.results)
    yield _fallback(snapshot.results)
    yield GaugeMetricFamily(
        "registry_metrics_snapshot_age_seconds",
        "Age of the oldest rows that these metrics were read from.",
        value=snapshot.age_seconds(now),
    )
    yield GaugeMetricFamily(
        "registry_metrics_collector_success",
        "1 when every stream could be read the last time, 0 when older readings are shown.",
        value=float(snapshot.complete),
    )


def _one_of(
    field: str, meaning: str, readings: Mapping[str, Reading], values: list[Any], label: str = ""
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"registry_dualwrite_{field}", meaning, labels=["stream", label or field])
    for stream, reading in readings.items():
        for value in values:
            family.add_metric([stream, value.value], float(reading.row[field] == value))
    return family


def _applied(readings: Mapping[str, Reading]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "registry_dualwrite_applied", "Keys applied to the store as a mirror.", labels=["stream", "store"]
    )
    for stream, reading in readings.items():
        for store, count in reading.applied.items():
            family.add_metric([stream, store.value], float(count))
    return family


def _time(
    name: str, meaning: str, readings: Mapping[str, Reading], at: Callable[[Reading], float | None]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"registry_validation_{name}_timestamp_seconds", meaning, labels=["stream"])
    for stream, reading in readings.items():
        seconds = at(reading)
        if seconds is not None:
            family.add_metric([stream], seconds)
    return family


def _health(results: Iterable[Result]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "registry_health_status", "1 UP, 0 DOWN or OUT_OF_SERVICE, -1 UNKNOWN.", labels=["component"]
    )
    for result in results:
        family.add_metric([result.name], HEALTH[result.status])
    return family


def _fallback(results: Iterable[Result]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "registry_config_fallback", "1 while the source's last good values count, as it is away.", labels=["source"]
    )
    for result in results:
        if result.name == CONFIG_SERVICE and result.status is not Status.UNKNOWN:
            family.add_metric([Origin.CONFIG_SERVICE.value], float(result.status is Status.DOWN))
    return family
