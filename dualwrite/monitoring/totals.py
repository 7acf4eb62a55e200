"""What the registry's own rows add up to: validations, retention, switches. Read for Prometheus, see `snapshot`.

Counters come from rows that are only added to, so they survive a restart and are the same in every process. Where such
rows are given up one day a counter begins lower, which Prometheus takes for a restart.

How it can fail, and the answer: many runs are kept → they are counted by the server, and of the newest one only numbers
are read, none of its lists; a run compared nothing → it has no ratio, rather than a perfect one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform

from dualwrite.models import RetentionBackup, RetentionRun, RetentionStatus, StageTransition, ValidationRun
from dualwrite.models import ValidationStatus as Verdict
from dualwrite.monitoring.alerts.report import firing
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.stream import all_streams

COMPLETE = (Verdict.PASSED, Verdict.WARNING, Verdict.FAILED)
ENDED = tuple(status for status in Verdict if status is not Verdict.RUNNING)
KINDS = ("missing_in_mirror", "extra_in_mirror", "field_mismatch", "unsettled", "relay_stuck")


@dataclass(frozen=True)
class LastLook:
    """The newest complete validation of a stream: keys by kind of difference, the share that matched, its seconds."""

    differences: Mapping[str, int]
    match_ratio: float | None
    seconds: float | None


@dataclass(frozen=True)
class Totals:
    """Runs by stream and status, last looks by stream; rows by policy and action, last successes by policy; stalls;
    how many alerts fire by rule and severity."""

    runs: Mapping[tuple[str, str], int]
    looks: Mapping[str, LastLook]
    removed: Mapping[tuple[str, str], int]
    backup_bytes: int
    retained_at: Mapping[str, float]
    stalls: Sequence[float]
    firing: Mapping[tuple[str, str], int]


def read() -> Totals:
    """All of them; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        return Totals(_runs(), _looks(), _removed(), _backup_bytes(), _retained_at(), _stalls(), firing())


def _runs() -> dict[tuple[str, str], int]:
    found = {(stream.name, str(status)): 0 for stream in all_streams() for status in ENDED}
    counted = ValidationRun.objects.filter(status__in=ENDED).order_by().values_list("stream", "status")
    return found | {(stream, status): number for stream, status, number in counted.annotate(Count("pk"))}


def _looks() -> dict[str, LastLook]:
    runs = ValidationRun.objects.filter(status__in=COMPLETE).order_by("stream", "-id").distinct("stream")
    return {row["stream"]: _look(row) for row in runs.values("stream", "matched", "seconds", *KINDS)}


def _look(row: Mapping[str, int | None]) -> LastLook:
    found = {kind: row[kind] or 0 for kind in KINDS}
    matched = row["matched"] or 0
    compared = matched + sum(found.values())
    return LastLook(found, matched / compared if compared else None, row["seconds"])


def _executed() -> "QuerySet[RetentionRun]":
    return RetentionRun.objects.filter(dry_run=False).order_by()


def _removed() -> dict[tuple[str, str], int]:
    action = KeyTextTransform("action", "frozen")
    counted = _executed().exclude(removed=None).values_list("policy", action).annotate(Sum("removed"))
    return {(policy, action or "unknown"): int(rows) for policy, action, rows in counted}


def _backup_bytes() -> int:
    return int(RetentionBackup.objects.aggregate(found=Sum("bytes"))["found"] or 0)


def _retained_at() -> dict[str, float]:
    complete = _executed().filter(status=RetentionStatus.COMPLETE).exclude(finished_at=None)
    return {policy: at.timestamp() for policy, at in complete.values_list("policy").annotate(Max("finished_at"))}


def _stalls() -> list[float]:
    held = StageTransition.objects.exclude(stall_seconds=None).order_by()
    return [float(seconds or 0) for seconds in held.values_list("stall_seconds", flat=True)]
