"""Repair: the keys that differ are noted in the authority's outbox, so that the relay makes the mirror equal.

Nothing else is written, whichever store is wrong: the authority is right by definition. Verdicts only are repaired;
keys that did not come to rest are on their way, and parked ones are `redrive`'s. After the relay has seen to the keys
they are compared once more, and only then called repaired.

A comparison keeps so many differing keys and no more, so repairing goes in rounds: note, wait, compare.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from dualwrite import outbox, runs, switch
from dualwrite.exceptions import ConcurrentChange, Refused, UsageError
from dualwrite.failpoints import reach
from dualwrite.models import StreamControl, ValidationRun
from dualwrite.parameters import REPAIR_MAX_KEYS, REPAIR_TIMEOUT_SECONDS
from dualwrite.runs import Watch
from dualwrite.stages import Role, Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State
from dualwrite.validation.scope import Scope
from dualwrite.validation.standing import is_same
from dualwrite.validation.verdict import Findings, History, Kind, Verdict

REPAIRED_KINDS = (Kind.MISSING, Kind.EXTRA, Kind.MISMATCH)
#: Keys noted in one statement.
BATCH = 1_000
#: More rounds than this are a backfill.
MOST_ROUNDS = 20
SHOWN_KEYS = 100
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Repair:
    """What is asked for, by whom and why. `dry_run`: say what would be done."""

    actor: Actor
    force: bool = False
    dry_run: bool = False


@dataclass
class Report:
    """What came of it; `keys` are the first that were noted, or would be."""

    dry_run: bool
    to_repair: int
    noted: int = 0
    repaired: int = 0
    still_different: int = 0
    waiting: int = 0
    parked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    sentence: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything that was found is repaired."""
        return not self.dry_run and self.repaired == self.to_repair and not self.parked

    def as_data(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True)
class Limits:
    """How many keys are repaired without being forced, and how long the relay is waited for, in seconds."""

    keys: int
    seconds: float

    @classmethod
    def in_force(cls) -> "Limits":
        """Those of the parameters; raises InvalidParameter."""
        return cls(REPAIR_MAX_KEYS.value(), REPAIR_TIMEOUT_SECONDS.value())


Compare = Callable[[Scope], Findings]


def require_possible(stream: Stream, here: State, asked: Repair) -> None:
    """Raise Refused where noted keys would not be relayed, UsageError for force without a reason."""
    if asked.force and not asked.actor.reason.strip():
        raise UsageError("force needs a reason: --reason WHY")
    if asked.dry_run:
        return
    follows = switch.state(stream, here.store.peer).role is Role.MIRROR
    if not (here.capture and here.backfilled and follows):
        raise Refused(f"stream {stream.name} is not mirrored; manage.py dualwrite enable --stream {stream.name}")
    if standstill := _standstill(stream):
        raise Refused(f"stream {stream.name} stands still, so nothing would be repaired: {standstill}")


def carry_out(
    run: ValidationRun,
    stream: Stream,
    here: State,
    found: Findings,
    asked: Repair,
    compare: Compare,
    watch: Watch,
    limits: Limits,
) -> Report:
    """Repair what was found; a refusal is told in the report, as the comparison itself stands."""
    report = _report(found, asked)
    report.sentence = _refusal(report, asked, limits)
    if report.sentence or not report.to_repair or asked.dry_run:
        return report
    _audit(run, stream, report, asked)
    try:
        _rounds(stream, here, found, compare, watch, report, limits)
    except BaseException:
        report.sentence = f"broken off; {report.noted} keys are noted and are relayed all the same"
        runs.note(run, repair=report.as_data())
        raise
    report.sentence = _sentence(stream, report)
    return report


def _rounds(
    stream: Stream, here: State, found: Findings, compare: Compare, watch: Watch, report: Report, limits: Limits
) -> None:
    for _ in range(MOST_ROUNDS):
        keys = _keys(found)
        if not keys:
            return
        left = _round(stream, here, keys, watch, compare, report, limits)
        if left or report.noted >= report.to_repair:
            return
        found = compare(Scope.whole())


def _report(found: Findings, asked: Repair) -> Report:
    keys = _keys(found)
    parked = [verdict.key for verdict in found.differences if _is_parked(verdict)]
    total = sum(found.tally[kind] for kind in REPAIRED_KINDS) - len(parked)
    return Report(asked.dry_run, total, parked=parked[:SHOWN_KEYS], keys=keys[:SHOWN_KEYS])


def _refusal(report: Report, asked: Repair, limits: Limits) -> str:
    if report.to_repair <= limits.keys or asked.force:
        return ""
    return f"{report.to_repair} keys differ, more than {limits.keys}; --force --reason WHY repairs them all the same"


def _audit(run: ValidationRun, stream: Stream, report: Report, asked: Repair) -> None:
    evidence = {"run": run.pk, "count": report.to_repair, "keys": report.keys, "forced": asked.force}
    switch.audit(Store.REGISTRY, asked.actor, "repair", stream.name, evidence)


def _round(
    stream: Stream, here: State, keys: Sequence[str], watch: Watch, compare: Compare, report: Report, limits: Limits
) -> int:
    """Note the keys, wait for them, compare them; returns how many are not repaired."""
    watch.phase("noting keys that differ", len(keys))
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        _note(stream, here, some)
        report.noted += len(some)
        watch.advance(len(some))
    reach("repair noted")
    waiting = _wait(stream, here.store, keys, watch, limits.seconds)
    again = compare(Scope.keys([key for key in keys if key not in waiting]))
    different = sum(again.tally[kind] for kind in REPAIRED_KINDS)
    report.waiting += len(waiting)
    report.still_different += different
    report.parked += [verdict.key for verdict in again.differences if _is_parked(verdict)]
    left = again.tally.total() + len(waiting)
    report.repaired += len(keys) - left
    return left


def _note(stream: Stream, here: State, keys: Sequence[str]) -> None:
    if not is_same(here, switch.authority(stream)):
        raise ConcurrentChange(f"stream {stream.name} was switched, disabled or enabled; nothing more is repaired")
    outbox.note(stream, here.store, keys, outbox.Cause.REDRIVE)


def _wait(stream: Stream, store: Store, keys: Sequence[str], watch: Watch, seconds: float) -> set[str]:
    """Wait until the relay has seen to the keys; those that wait still when it stands still or takes too long."""
    watch.phase("waiting for the relay", len(keys))
    until = time.monotonic() + seconds
    waiting = outbox.pending_of(stream, store, keys)
    while waiting and time.monotonic() < until and not _standstill(stream):
        watch.pause(LOOK_SECONDS)
        waiting = outbox.pending_of(stream, store, list(waiting))
    return waiting


def _standstill(stream: Stream) -> str:
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    if control is None:
        return ""
    return control.held_because or ("an operator paused it" if control.paused else "")


def _keys(found: Findings) -> list[str]:
    return [v.key for v in found.differences if v.kind in REPAIRED_KINDS and not _is_parked(v)]


def _is_parked(verdict: Verdict) -> bool:
    return verdict.history == History.PARKED


def _sentence(stream: Stream, report: Report) -> str:
    if report.waiting:
        why = _standstill(stream) or "no relay has seen to them in time"
        return f"{report.waiting} keys are noted and wait still: {why}"
    if report.still_different:
        return f"{report.still_different} keys are different still"
    if report.repaired < report.to_repair:
        return f"more keys differ; manage.py dualwrite backfill --stream {stream.name} notes every key"
    return ""
