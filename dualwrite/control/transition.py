"""One change of a stream's stage at a time: its lock, its row, and what becomes of one that was left half-done.

The stage of the control row is for people. What counts are the rows of `dualwrite.stream_state` in both stores: the
stage is made to agree with them, never the other way round. How it can fail, and the answer:

* the process dies anywhere → its lock goes with its session; whoever comes next (command, relay, sweep, health check)
  brings the switch to its end, then makes stage and row agree (`only`, `settle_and_repair`);
* a second operator → `AlreadyRunning`, which names the first;
* the verb itself fails → the same is done at once, so that the row says what became of it;
* a store is away meanwhile → the row stays `running` with nobody behind it; `status` shows it as half-done.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from dualwrite import router, runs, switch
from dualwrite.control import agreement, complete
from dualwrite.exceptions import AlreadyRunning, ConcurrentChange, DualWriteError, Refused, WrongStore
from dualwrite.failpoints import reach
from dualwrite.models import StageTransition, StreamControl, TransitionStatus
from dualwrite.sql import statement
from dualwrite.stages import Stage, Store
from dualwrite.stores import cursor, first_stage, present, reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from dualwrite.switch.audit import line

log = logging.getLogger(__name__)

KIND = "transition"
ITS_PROCESS_DIED = "its process died"


@dataclass(frozen=True)
class Here:
    """The stage a verb starts from, and whether something left half-done was ended first."""

    stage: Stage
    mended: bool


def stage_of(stream: Stream) -> Stage:
    """The stage as the control row has it, the first one where there is none; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        found = StreamControl.objects.filter(stream=stream.name).first()
    return Stage(found.stage) if found else first_stage()


def is_complete(stream: Stream) -> bool:
    """Whether the old store is no part of the stream any more; raises StoreUnreachable."""
    return stage_of(stream).ends_the_way_back


def require_not_complete(stream: Stream) -> None:
    """Raise Refused for a complete stream: nothing is mirrored there, and no way leads back. StoreUnreachable."""
    if is_complete(stream):
        raise Refused(f"stream {stream.name} is at stage {Stage.COMPLETE}: the old store is no part of it any more")


def latest(stream: Stream) -> StageTransition | None:
    """The transition that was begun last; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        return StageTransition.objects.filter(stream=stream.name).first()


def running(stream: Stream) -> StageTransition | None:
    """The transition under way, or left by a process that died; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        return StageTransition.objects.filter(stream=stream.name, status=TransitionStatus.RUNNING).first()


def under_way(stream: Stream) -> bool:
    """Whether somebody is at work on the stage right now; raises StoreUnreachable."""
    with cursor(Store.REGISTRY) as found:
        found.execute(statement("status", "run_alive"), {"lock": runs.RUN_LOCK, "name": f"{KIND}/{stream.name}"})
        return bool(found.fetchone()[0])


@contextmanager
def only(stream: Stream, actor: Actor) -> Iterator[Here]:
    """Be the only one at work on the stream's stage; what was left half-done is ended first.

    Raises AlreadyRunning naming the other one; Refused when a switch is under way all the same, AuthorityUnknown,
    NotInstalled, StoreUnreachable.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(runs.only_run(KIND, stream))
        except AlreadyRunning as exc:
            raise AlreadyRunning(_who(stream)) from exc
        mended = mend(stream, actor)
        reach("transition locked")
        yield Here(stage_of(stream), mended)


def _who(stream: Stream) -> str:
    row = running(stream)
    if row is None:
        doing = "enabling, backfilling, changing its partitions or looking at its gates"
        return f"another verb of stream {stream.name}, which is {doing}"
    return f"{row.sentence} of stream {stream.name}, by {row.actor} since {row.started_at:%Y-%m-%d %H:%M:%S %Z}"


def settle_and_repair(stream: Stream, actor: Actor) -> bool:
    """End what a dead process left half-done; returns whether there was anything. One under way is left alone.

    Raises Refused when a switch is under way that nobody recorded, AuthorityUnknown, NotInstalled, StoreUnreachable.
    """
    if not _anything_left(stream):
        return False
    try:
        with runs.only_run(KIND, stream):
            return mend(stream, actor)
    except AlreadyRunning:
        return False


def mend(stream: Stream, actor: Actor, because: DualWriteError | None = None) -> bool:
    """Bring a half-done switch to its end, then stage and row; returns whether there was anything to do.

    Whoever calls this has the lock. `because`: what broke the verb off; without, its process died. Nothing is done
    between stores that are no pair. Raises as `only` does.
    """
    try:
        switch.require_pair()
    except WrongStore:
        # Rows of two databases that are no pair say nothing about each other; the verb refuses for itself.
        return False
    steps = switch.settle(stream, actor)
    if steps:
        router.forget_roles()
    states, row, stage = switch.both(stream), running(stream), stage_of(stream)
    step = (Stage(row.before), Stage(row.after)) if row else None
    agreed = agreement.stage_agreeing(stage, *states, step=step)
    if agreed is Stage.COMPLETE and stage is not agreed:
        complete.finish(stream, actor)
    if not steps and row is None and agreed is stage:
        return False
    if row is not None and step is not None and step[0].switches_to(agreed):
        row.epoch = max(state.epoch for state in states)
    _record_mending(stream, actor, stage, agreed, row, because, [move.step.value for move in steps])
    return True


def _anything_left(stream: Stream) -> bool:
    stage = stage_of(stream)
    if stage.ends_the_way_back or Store.SCREENER not in present():
        # Reached only when everything had been done; the old store may be switched off by now. Short of it nothing can
        # be ended without the old store, and `status` says that it is missing.
        return False
    states = switch.both(stream)
    return (
        agreement.is_fenced(*states)
        or running(stream) is not None
        or agreement.stage_agreeing(stage, *states) is not stage
    )


@contextmanager
def recorded(
    stream: Stream,
    before: Stage,
    after: Stage,
    actor: Actor,
    *,
    forced: bool = False,
    gates: Sequence[Mapping[str, Any]] = (),
) -> Iterator[StageTransition]:
    """The transition's row, `running` until `done`. Whoever calls this has the lock of `only`.

    When the work fails, the row says what became of it. An error that came after everything had been done (an answer
    that was lost) is not raised again; the row is `done` then.
    """
    with reaching(Store.REGISTRY):
        row = StageTransition.objects.create(
            stream=stream.name,
            before=before,
            after=after,
            actor=actor.name,
            reason=actor.reason,
            forced=forced,
            gates=list(gates),
        )
    reach("transition recorded")
    try:
        yield row
    except DualWriteError as exc:
        if not _came_through(stream, row, actor, exc):
            raise


def done(row: StageTransition, actor: Actor, *, epoch: int | None = None, stall_seconds: float | None = None) -> None:
    """Move the stage on and close the row; raises ConcurrentChange when the stage is no longer the one of before."""
    row.epoch, row.stall_seconds = epoch, stall_seconds
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        _move_stage(row.stream, Stage(row.before), Stage(row.after))
        _close(row, actor, TransitionStatus.DONE)
    reach("transition done")


def audit(
    stream: str,
    actor: Actor,
    verb: str,
    before: Stage,
    after: Stage,
    evidence: Mapping[str, Any],
) -> None:
    """Add a line about the stream's stage to the registry's audit."""
    values = line(actor, verb, stream, {"stage": before.value}, {"stage": after.value}, evidence)
    with cursor(Store.REGISTRY) as found:
        found.execute(statement("state", "audit"), values)


def _came_through(stream: Stream, row: StageTransition, actor: Actor, exc: DualWriteError) -> bool:
    try:
        mend(stream, actor, because=exc)
    except DualWriteError as further:
        log.warning("stream %s: %s is left half-done: %s", stream.name, row.sentence, further)
        return False
    with reaching(Store.REGISTRY):
        row.refresh_from_db()
    if row.status != TransitionStatus.DONE:
        return False
    log.warning("stream %s: %s was done all the same: %s", stream.name, row.sentence, exc)
    return True


def _record_mending(
    stream: Stream,
    actor: Actor,
    stage: Stage,
    agreed: Stage,
    row: StageTransition | None,
    because: DualWriteError | None,
    steps: list[str],
) -> None:
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        if agreed is not stage:
            StreamControl.objects.get_or_create(stream=stream.name)
            _move_stage(stream.name, stage, agreed)
        if row is not None:
            row.error = str(because) if because else ITS_PROCESS_DIED
            _close(row, actor, agreement.ending(Stage(row.before), Stage(row.after), agreed, because))
        if because is None:
            evidence = {"steps": steps, "transition": row.pk if row else None}
            audit(stream.name, actor, "repair", stage, agreed, evidence)


def _move_stage(stream: str, before: Stage, after: Stage) -> None:
    changed = StreamControl.objects.filter(stream=stream, stage=before).update(stage=after, changed_at=timezone.now())
    if changed != 1:
        raise ConcurrentChange(f"stream {stream} is no longer at stage {before}")


def _close(row: StageTransition, actor: Actor, status: TransitionStatus) -> None:
    row.status, row.finished_at = status.value, timezone.now()
    mine = StageTransition.objects.filter(pk=row.pk, status=TransitionStatus.RUNNING)
    names = ("status", "finished_at", "epoch", "stall_seconds", "error")
    if mine.update(**{name: getattr(row, name) for name in names}) != 1:
        raise ConcurrentChange(f"stream {row.stream}: somebody else has ended transition {row.pk}")
    reached = row.after if status is TransitionStatus.DONE else row.before
    kept = ("status", "forced", "gates", "epoch", "stall_seconds", "error")
    evidence = {"transition": row.pk, **{name: getattr(row, name) for name in kept}}
    audit(row.stream, actor, row.verb, Stage(row.before), Stage(reached), evidence)
