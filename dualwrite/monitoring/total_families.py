"""The metrics of `totals`."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from dualwrite.monitoring.totals import Totals

#: Seconds that writers wait when the authority moves; the rehearsal's goal is well below a second.
STALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))


def total_families(totals: Totals) -> Iterator[Metric]:
    """Every family."""
    yield from _validation(totals)
    yield from _retention(totals)
    stalls = HistogramMetricFamily(
        "registry_dualwrite_switch_stall_seconds", "How long writers waited for each switch there ever was."
    )
    stalls.add_metric([], buckets(totals.stalls), sum_value=sum(totals.stalls))
    yield stalls
    firing = GaugeMetricFamily(
        "registry_alerts_firing", "How many alerts fire, by rule and severity.", labels=["name", "severity"]
    )
    for labels, number in sorted(totals.firing.items()):
        firing.add_metric(list(labels), float(number))
    yield firing


def _validation(totals: Totals) -> Iterator[Metric]:
    runs = CounterMetricFamily(
        "registry_validation_runs", "Validations that have ended, by how they ended.", labels=["stream", "status"]
    )
    for labels, number in sorted(totals.runs.items()):
        runs.add_metric(list(labels), float(number))
    yield runs
    differences = GaugeMetricFamily(
        "registry_validation_differences",
        "Keys by kind of difference that the newest complete validation found.",
        labels=["stream", "kind"],
    )
    for stream, look in totals.looks.items():
        for kind, number in look.differences.items():
            differences.add_metric([stream, kind], float(number))
    yield differences
    ratios = {stream: look.match_ratio for stream, look in totals.looks.items()}
    yield _of_streams(
        "registry_validation_match_ratio",
        "Share of the keys compared by the newest complete validation that are equal; no series where none was.",
        ratios,
    )
    seconds = {stream: look.seconds for stream, look in totals.looks.items()}
    yield _of_streams("registry_validation_duration_seconds", "How long the newest complete validation took.", seconds)


def _of_streams(name: str, meaning: str, values: Mapping[str, float | None]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["stream"])
    for stream, value in values.items():
        if value is not None:
            family.add_metric([stream], value)
    return family


def _retention(totals: Totals) -> Iterator[Metric]:
    rows = CounterMetricFamily(
        "registry_retention_rows", "Rows that retention removed or marked.", labels=["policy", "action"]
    )
    for labels, number in sorted(totals.removed.items()):
        rows.add_metric(list(labels), float(number))
    yield rows
    yield CounterMetricFamily(
        "registry_retention_backup_bytes",
        "Bytes of all backups ever verified, those that have expired included.",
        value=float(totals.backup_bytes),
    )
    success = GaugeMetricFamily(
        "registry_retention_last_success_timestamp_seconds",
        "When a run of the policy last came to its end; no series where none ever has.",
        labels=["policy"],
    )
    for policy, at in sorted(totals.retained_at.items()):
        success.add_metric([policy], at)
    yield success


def buckets(values: Sequence[float]) -> list[tuple[str, float]]:
    """How many values are at most each bound, as Prometheus has it."""
    bounds = [(str(floatToGoString(bound)), bound) for bound in STALL_BUCKETS]  # type: ignore[no-untyped-call]
    return [(name, float(sum(value <= bound for value in values))) for name, bound in bounds]
