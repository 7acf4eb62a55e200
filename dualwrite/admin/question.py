"""What a verb would do, what it ends or risks, and what is in its way: asked by a dry run, before it is confirmed.

Nothing is changed here.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from dualwrite.admin.standing import Standing
from dualwrite.admin.verbs import Verb, unavailable
from dualwrite.control.advance import advance, rollback
from dualwrite.control.disable import disable
from dualwrite.control.enable import Enabled, enable
from dualwrite.control.plan import NO_WAY_BACK, pausing, resuming
from dualwrite.control.preview import Preview
from dualwrite.control.step import Moved, closed, planned
from dualwrite.exceptions import DualWriteError, Refused, WrongStore
from dualwrite.parameters import SWITCH_TIMEOUT_SECONDS
from dualwrite.stages import Stage
from dualwrite.stream import Stream
from dualwrite.switch import Actor

PAIRED_ANEW = (
    "Forced, it takes both databases as they are now, whichever they are, and ends the mirroring of every stream "
    "first. Read docs/runbooks/store-went-back.md before."
)


@dataclass(frozen=True)
class Question:
    """What is confirmed.

    `plan`: sentences in order; `risks`: the gravest first; `gates`: findings as data; `blocked`: why it would be
    refused, apart from the gates; `refused`: whether it would be; `forcible`: force would get past all of it; `to`:
    the stage it leads to; `choices`: the stages it may lead to instead.
    """

    plan: list[str] = field(default_factory=list)
    risks: list[str] = field(default_factory=list)
    gates: list[dict[str, Any]] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    refused: bool = False
    forcible: bool = False
    to: Stage | None = None
    choices: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Case:
    """The stream asked about, how it stands, who asks, and the stage to go to where one was named."""

    stream: Stream
    standing: Standing
    actor: Actor
    to: Stage | None = None


def ask(verb: Verb, case: Case) -> Question:
    """What the verb would do now; a refusal, or a store that is away, is part of the answer."""
    if why := unavailable(verb, case.standing):
        return refusal(why)
    try:
        return _QUESTIONS[verb](case)
    except DualWriteError as exc:
        return refusal(str(exc))


def refusal(why: str) -> Question:
    """A question that nobody can answer with yes."""
    return Question(blocked=[f"{why[0].upper()}{why[1:]}."], refused=True)


def _advance(case: Case) -> Question:
    if case.standing.stage is Stage.OFF:
        return _enable(case)
    return _moving(case, advance(case.stream, case.actor, to=case.to, dry_run=True))


def _rollback(case: Case) -> Question:
    return _moving(case, rollback(case.stream, case.actor, to=case.to, dry_run=True))


def _moving(case: Case, moved: Moved) -> Question:
    before, after = Stage(moved.before), Stage(moved.after)
    others = [why for why in moved.blocked if why not in closed(moved.gates, force=False)]
    back = case.standing.stage.steps_back_to(Stage.DUALWRITE)
    return Question(
        plan=moved.plan,
        risks=_risks(case.stream, before, after),
        gates=[asdict(gate) for gate in moved.gates],
        blocked=others,
        refused=bool(moved.blocked),
        forcible=bool(moved.blocked) and not others and not closed(moved.gates, force=True),
        to=after,
        choices=back if after in back else (),
    )


def _risks(stream: Stream, before: Stage, after: Stage) -> list[str]:
    if after.ends_the_way_back:
        return [
            NO_WAY_BACK,
            f"Whoever still writes {stream.name} to the {after.authority.peer} store gets an error from then on.",
        ]
    if not before.switches_to(after):
        return []
    old, new = before.authority, after.authority
    return [
        f"The writes move from the {old} to the {new} store: programs that go on writing {stream.name} to the {old} "
        "get an error.",
        f"Writers wait meanwhile, for {SWITCH_TIMEOUT_SECONDS.value():g} s at most.",
    ]


def _enable(case: Case) -> Question:
    stream, stage = case.stream, case.standing.stage
    plan = planned(stream, stage, Stage.DUALWRITE) if stage is Stage.OFF else _plan_of_enabling_again(case)
    to = Stage.DUALWRITE if stage is Stage.OFF else None
    try:
        found = enable(stream, case.actor, dry_run=True)
    except WrongStore as exc:
        return Question(plan, [PAIRED_ANEW], blocked=[str(exc)], refused=True, forcible=True, to=to)
    except Refused as exc:
        return Question(plan, blocked=[str(exc)], refused=True, to=to)
    if found.preview is None:
        return Question(["The stream is enabled already; what was left half-done is ended."], to=to)
    return _with_preview(found.preview, found, plan, to)


def _with_preview(found: Preview, done: Enabled, plan: list[str], to: Stage | None) -> Question:
    counted = found.sentence()
    lost = [f"{found.overwrite} rows of the mirror are overwritten, {found.delete} deleted."]
    return Question(
        plan=[f"{counted[0].upper()}{counted[1:]}.", *plan],
        risks=lost if found.overwrite or found.delete else [],
        blocked=list(done.blocked),
        refused=bool(done.blocked),
        forcible=bool(done.blocked),
        to=to,
    )


def _plan_of_enabling_again(case: Case) -> list[str]:
    here = case.standing.stage.authority
    return [
        f"{here}: every write of {case.stream.name} is noted from then on; writers wait a moment for the lock.",
        f"{here.peer}: becomes the mirror, so that it takes writes from the relay only.",
        f"{here}: every key of both stores is noted once; the relay makes the {here.peer} equal. Writers go on.",
        f"The stage stays {case.standing.stage}; only a clean strict validation makes the stream verified again.",
    ]


def _pause(case: Case) -> Question:
    *plan, cost = pausing(case.stream.name)
    return Question(plan, [cost])


def _resume(case: Case) -> Question:
    because = case.standing.held_because
    plan, *costs = resuming(case.stream.name, force=bool(because))
    if not because:
        return Question([plan])
    return Question(
        plan=[plan],
        risks=costs,
        blocked=[f"{because[0].upper()}{because[1:]}."],
        refused=True,
        forcible=True,
    )


def _disable(case: Case) -> Question:
    *plan, cost = disable(case.stream, case.actor, dry_run=True).plan
    return Question(plan, [cost])


def _settle(case: Case) -> Question:
    return Question(
        plan=[
            f"What is left: {case.standing.half_done}.",
            "A switch that was broken off is finished when everything had been relayed, else taken back.",
            "Stage and transition are made to agree with what both stores are.",
        ],
        risks=["Writers may wait for a moment."],
    )


_QUESTIONS: dict[Verb, Callable[[Case], Question]] = {
    Verb.ENABLE: _enable,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.DISABLE: _disable,
    Verb.ADVANCE: _advance,
    Verb.ROLLBACK: _rollback,
    Verb.SETTLE: _settle,
}
