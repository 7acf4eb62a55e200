"""One validation run of one stream: its row, its steps, its status."""

from collections import Counter
from collections.abc import Callable
from itertools import islice

from django.utils import timezone

from dualwrite import runs, switch
from dualwrite.exceptions import Refused, UnknownName
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.stages import Role, Store
from dualwrite.stores import require_present
from dualwrite.stream import Stream
from dualwrite.switch import State
from dualwrite.validation import compare
from dualwrite.validation.recheck import Kind, Verdict, recheck

LEVELS = ("strict",)
KEPT_DIFFERENCES = 100
#: More differing keys than this are a verdict in themselves.
MOST_CANDIDATES = 100_000


def validate(
    stream: Stream, level: str = "strict", progress: Callable[[str], None] = lambda sentence: None
) -> ValidationRun:
    """Compare both stores of the stream and return the stored run; it has passed only when nothing was found.

    Raises UnknownName for a level, AlreadyRunning, Refused where there is no old store or it follows no more, and
    whatever kept it from being completed (stored as `error`).
    """
    if level not in LEVELS:
        raise UnknownName("level", level, LEVELS)
    require_present(Store.SCREENER, f"stream {stream.name} has nothing to be compared with")
    with runs.only_run("validation", stream):
        _mark_dead(stream)
        switch.require_pair()
        authority = switch.authority(stream)
        _require_mirror(stream, authority)
        run = ValidationRun.objects.create(
            stream=stream.name, level=level, authority=authority.store.value, generation=authority.generation
        )
        try:
            _compare(run, stream, authority, progress)
        except BaseException as exc:
            _close(run, ValidationStatus.ERROR, error=str(exc) or type(exc).__name__)
            raise
    return run


def _require_mirror(stream: Stream, authority: State) -> None:
    if authority.store is Store.REGISTRY and switch.state(stream, Store.SCREENER).role is Role.DETACHED:
        raise Refused(f"stream {stream.name} is complete: the old store follows no more, nothing is to be compared")


def _compare(run: ValidationRun, stream: Stream, begun: State, progress: Callable[[str], None]) -> None:
    authority = begun.store
    progress(f"{stream.name}: comparing digests")
    found = compare.digests(stream)
    run.authority_rows, run.mirror_rows = found[authority].rows, found[authority.peer].rows
    buckets = compare.differing(found[Store.SCREENER], found[Store.REGISTRY])
    tally: Counter[Kind] = Counter()
    if buckets:
        progress(f"{stream.name}: looking into {len(buckets)} of {compare.BUCKETS} buckets")
    # All of them first: no snapshot stays open while keys are waited for, and they are waited for together.
    keys = list(islice(compare.candidates(stream, buckets), MOST_CANDIDATES + 1))
    for verdict in recheck(stream, authority, keys[:MOST_CANDIDATES]):
        tally[verdict.kind] += 1
        if len(run.differences) < KEPT_DIFFERENCES:
            run.differences.append(_row(verdict))
    run.missing_in_mirror, run.extra_in_mirror = tally[Kind.MISSING], tally[Kind.EXTRA]
    run.field_mismatch, run.unsettled = tally[Kind.MISMATCH], tally[Kind.UNSETTLED]
    now = switch.authority(stream)
    if (now.store, now.epoch, now.generation) != (begun.store, begun.epoch, begun.generation):
        # What was looked for in one store's outbox waited in the other's: neither a difference nor a pass.
        run.differences = []
        _close(run, ValidationStatus.ERROR, "the stream was switched, disabled or enabled meanwhile; validate again")
        return
    _close(run, *_status(run, tally, cut_short=len(keys) > MOST_CANDIDATES))


def _status(run: ValidationRun, tally: Counter[Kind], *, cut_short: bool) -> tuple[ValidationStatus, str]:
    if not run.authority_rows:
        return ValidationStatus.ERROR, "the authority has no rows, so nothing could be proven"
    if cut_short:
        return ValidationStatus.FAILED, f"more than {MOST_CANDIDATES} keys seem different; only so many were looked at"
    if tally.total() > tally[Kind.UNSETTLED]:
        return ValidationStatus.FAILED, ""
    if tally[Kind.UNSETTLED]:
        return ValidationStatus.WARNING, "some keys did not come to rest"
    return ValidationStatus.PASSED, ""


def _row(verdict: Verdict) -> dict[str, object]:
    return {
        "kind": verdict.kind.value,
        "key": verdict.key,
        "authority": verdict.authority,
        "mirror": verdict.mirror,
        "history": verdict.history,
    }


def _close(run: ValidationRun, status: ValidationStatus, error: str = "") -> None:
    run.status, run.error, run.finished_at = status.value, error, timezone.now()
    fields = ["status", "error", "finished_at", "authority_rows", "mirror_rows", "differences"]
    counts = ["missing_in_mirror", "extra_in_mirror", "field_mismatch", "unsettled"]
    run.save(update_fields=[*fields, *counts])


def _mark_dead(stream: Stream) -> None:
    """Runs left by a process that died: this one holds the lock, so they cannot be alive."""
    ValidationRun.objects.filter(stream=stream.name, status=ValidationStatus.RUNNING).update(
        status=ValidationStatus.ERROR, error="its process died", finished_at=timezone.now()
    )


def latest(stream: Stream) -> ValidationRun | None:
    """The last finished or running validation of the stream."""
    return ValidationRun.objects.filter(stream=stream.name).first()
