"""One step from a stage to the next or the one before: its gates, its work, its row. Whoever takes it has the lock."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.control.complete import complete
from dualwrite.control.gates import Finding, findings
from dualwrite.control.handover import hand_over
from dualwrite.control.plan import NO_WAY_BACK, Facts, plan
from dualwrite.exceptions import Refused
from dualwrite.models import StageTransition
from dualwrite.parameters import SWITCH_LOCK_SECONDS, SWITCH_TIMEOUT_SECONDS
from dualwrite.stages import Stage
from dualwrite.stream import Stream
from dualwrite.switch import Actor

Say = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """What was done, or, of a dry run, what would be.

    `plan`: sentences in order; `gates`: every gate as it was found; `stall_seconds`: how long writers waited, where
    they had to; `transition`: the row that keeps all of it; `blocked`: why it would be refused.
    """

    stream: str
    before: str
    after: str
    changed: bool
    plan: list[str]
    gates: list[Finding]
    stall_seconds: float | None = None
    transition: int | None = None
    blocked: tuple[str, ...] = ()


class GatesClosed(Refused):
    """A gate is closed."""

    def __init__(self, moved: Moved) -> None:
        self.moved = moved
        super().__init__(f"stream {moved.stream}, {moved.before} → {moved.after}: {'; '.join(moved.blocked)}")


def take(stream: Stream, actor: Actor, before: Stage, after: Stage, *, force: bool, progress: Say) -> Moved:
    """Take the step.

    Raises GatesClosed, and what `hand_over` and `complete` raise; the row then says what became of it.
    """
    progress(f"{before} → {after}: looking at the gates")
    moved = look(stream, before, after, force=force)
    if moved.blocked:
        _audit_refusal(stream, actor, before, after, force, moved)
        raise GatesClosed(moved)
    forced = force and any(not gate.passed for gate in moved.gates)
    gates = as_data(moved.gates)
    with transition.recorded(stream, before, after, actor, forced=forced, gates=gates) as row:
        _work(stream, actor, row, before, after, progress)
    return Moved(
        stream.name, before, after, True, moved.plan, moved.gates, stall_seconds=row.stall_seconds, transition=row.pk
    )


def look(stream: Stream, before: Stage, after: Stage, *, force: bool) -> Moved:
    """Gates and plan of a step that is about to be taken; a canary is sent, else nothing is done."""
    found = findings(stream, after)
    return Moved(stream.name, before, after, False, planned(stream, before, after), found, blocked=closed(found, force))


def planned(stream: Stream, before: Stage, after: Stage) -> list[str]:
    """The sentences of the step; raises StoreUnreachable."""
    here = switch.authority(stream)
    waiting = outbox.pending(stream, here.store)
    keys = f"{'about ' if waiting.is_estimate else ''}{waiting.count} keys"
    facts = Facts(stream.name, here.epoch, keys, SWITCH_LOCK_SECONDS.value(), SWITCH_TIMEOUT_SECONDS.value())
    return plan(before, after, facts)


def closed(found: Sequence[Finding], force: bool) -> tuple[str, ...]:
    """Why the step is refused, a sentence a gate; `force` overrides those that may be overridden."""
    return tuple(f"{gate.gate}: {gate.why}" for gate in found if not gate.passed and not (force and gate.forcible))


def as_data(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON."""
    return [asdict(gate) for gate in found]


def _work(stream: Stream, actor: Actor, row: StageTransition, before: Stage, after: Stage, progress: Say) -> None:
    if before.switches_to(after):
        handed = hand_over(stream, after.authority, actor, progress=progress)
        transition.done(row, actor, epoch=handed.epoch, stall_seconds=handed.stall_seconds)
    elif after.ends_the_way_back:
        progress(NO_WAY_BACK)
        transition.done(row, actor, stall_seconds=complete(stream, actor, progress=progress))
    else:
        transition.done(row, actor)


def _audit_refusal(stream: Stream, actor: Actor, before: Stage, after: Stage, force: bool, moved: Moved) -> None:
    """Kept in the audit alone: a row of its own would be one of a transition that never was."""
    verb = StageTransition(before=before, after=after).verb
    evidence = {"to": after.value, "refused": list(moved.blocked), "force": force, "gates": as_data(moved.gates)}
    transition.audit(stream.name, actor, verb, before, before, evidence)
