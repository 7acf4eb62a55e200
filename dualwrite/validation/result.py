"""From findings to the row of a run, and from the row to JSON."""

from typing import Any

from dualwrite.models import ValidationRun
from dualwrite.parameters import DATE_TOLERANCE_SECONDS, NUMERIC_TOLERANCE_PERCENT
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.validation.level import Level
from dualwrite.validation.scope import Scope
from dualwrite.validation.thresholds import Totals
from dualwrite.validation.verdict import Findings, Kind, Verdict

#: Differences kept with a run; the totals count all.
KEPT_DIFFERENCES = 100


def totals(found: Findings, authority: Store, scope: Scope) -> Totals:
    """What is held against the thresholds."""
    return Totals(
        authority_rows=found.rows[authority],
        mirror_rows=found.rows[authority.peer],
        missing=found.records[Kind.MISSING],
        extra=found.records[Kind.EXTRA],
        mismatch=found.records[Kind.MISMATCH],
        unsettled=found.records[Kind.UNSETTLED],
        stuck=found.records[Kind.STUCK],
        cut_short=found.cut_short,
        whole=scope.is_whole,
    )


def counted(found: Findings, authority: Store, seconds: float) -> dict[str, object]:
    """The fields of a run that say what was found; totals are true, of the differences the first are kept."""
    counts = {kind.value: found.tally[kind] for kind in Kind}
    rows = found.rows[authority], found.rows[authority.peer]
    return {
        "authority_rows": rows[0],
        "mirror_rows": rows[1],
        "matched": found.matched,
        **counts,
        "fields": dict(found.fields),
        "snapshots": {store.value: at.isoformat() for store, at in found.snapshots.items()},
        "cut_short": found.cut_short,
        "seconds": round(seconds, 3),
        "rows_per_second": round(sum(rows) / seconds) if seconds else None,
        "differences": [_row(verdict) for verdict in found.differences[:KEPT_DIFFERENCES]],
    }


def tolerance() -> dict[str, float]:
    """What is tolerated between two values at level detailed."""
    percent, seconds = NUMERIC_TOLERANCE_PERCENT.value(), DATE_TOLERANCE_SECONDS.value()
    return {"numeric_percent": float(percent), "date_seconds": float(seconds)}


def how(found: Findings) -> dict[str, object]:
    """How it was compared."""
    return {"method": str(found.method), "buckets": found.buckets, "differing_buckets": found.differing}


def seemed_equal(stream: Stream, level: Level) -> bool:
    """Whether the stream's last look of that kind at more than named keys saw no difference, or there was none yet.

    Where writes are on their way all the time it sees some each time, though none of them becomes a verdict.
    """
    looks = ValidationRun.objects.filter(stream=stream.name, level=level.value, configuration__buckets__gt=0)
    with reaching(Store.REGISTRY):
        last = looks.order_by("-pk").values_list("configuration__differing_buckets", flat=True).first()
    return not last


def _row(verdict: Verdict) -> dict[str, object]:
    return {
        "kind": verdict.kind.value,
        "key": verdict.key,
        "fields": list(verdict.fields),
        "authority": verdict.authority,
        "mirror": verdict.mirror,
        "history": verdict.history,
        **({"note": verdict.note} if verdict.note else {}),
    }


#: The fields of a run that are shown as they are.
_SHOWN = (
    "stream",
    "level",
    "scope",
    "status",
    "error",
    "owner",
    "progress",
    "resumes",
    "configuration",
    "authority",
    "generation",
    "authority_rows",
    "mirror_rows",
    "matched",
    "missing_in_mirror",
    "extra_in_mirror",
    "field_mismatch",
    "unsettled",
    "relay_stuck",
    "fields",
    "thresholds",
    "violations",
    "passed_thresholds",
    "snapshots",
    "seconds",
    "rows_per_second",
    "cut_short",
    "differences",
    "rules",
    "repair",
)


def as_data(run: ValidationRun) -> dict[str, Any]:
    """A run as JSON."""
    times = {name: getattr(run, name) for name in ("started_at", "finished_at")}
    shown = {name: getattr(run, name) for name in _SHOWN}
    return {"id": run.pk, **shown, **{name: at.isoformat() if at else None for name, at in times.items()}}
