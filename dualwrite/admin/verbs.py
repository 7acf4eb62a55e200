"""The verbs of a stream's page: what they are called, when they are of use, and when they need a reason. No I/O."""

from collections.abc import Callable
from enum import StrEnum

from dualwrite.admin.standing import Standing
from dualwrite.control.half_done import SETTLES
from dualwrite.stages import Stage

NOT_MIRRORED = "nothing is mirrored"


class Verb(StrEnum):
    """Something an operator does with a stream."""

    ENABLE = "enable"
    PAUSE = "pause"
    RESUME = "resume"
    DISABLE = "disable"
    ADVANCE = "advance"
    ROLLBACK = "rollback"
    SETTLE = "settle"

    @property
    def label(self) -> str:
        """Its words on a button."""
        return "roll back" if self is Verb.ROLLBACK else self.value

    @property
    def moves(self) -> bool:
        """Whether it goes to another stage, which is then named."""
        return self in (Verb.ADVANCE, Verb.ROLLBACK)

    @property
    def stops(self) -> bool:
        """Whether it ends something that works."""
        return self is Verb.DISABLE


def shown(standing: Standing) -> list[Verb]:
    """The verbs that have a button: all, and before them settle where something is half-done."""
    usual: list[Verb] = [verb for verb in Verb if verb is not Verb.SETTLE]
    return [Verb.SETTLE, *usual] if standing.half_done else usual


def meaning(verb: Verb, standing: Standing) -> str:
    """What the verb does here, in a few words."""
    return _MEANINGS[verb](standing)


def unavailable(verb: Verb, standing: Standing) -> str:
    """Why the verb is of no use now; empty when it is of use. What its gates say is another matter."""
    if verb in (Verb.ENABLE, Verb.ADVANCE, Verb.ROLLBACK, Verb.SETTLE) and standing.under_way:
        return standing.half_done or "another verb is under way"
    return _REASONS[verb](standing)


def needs_reason(verb: Verb, to: Stage | None) -> bool:
    """Whether it cannot be done without saying why."""
    return verb is Verb.ROLLBACK or bool(to and to.ends_the_way_back)


def _why_not_enable(standing: Standing) -> str:
    if standing.stage.ends_the_way_back:
        return f"at {standing.stage} the old store is no part of the stream any more"
    complete = not standing.half_done or SETTLES in standing.half_done
    works = standing.mirroring in ("active", "paused") and standing.is_pair and complete
    return "it is enabled already" if works else standing.may_not_enable


def _why_not_pause(standing: Standing) -> str:
    if standing.never_enabled or not standing.stage.mirrors:
        return f"{NOT_MIRRORED}, so there is nothing to pause"
    return "it is paused already" if standing.paused else ""


def _why_not_resume(standing: Standing) -> str:
    return "" if standing.paused or standing.held_because else "it is not paused"


def _why_not_disable(standing: Standing) -> str:
    if standing.under_way or standing.mirroring not in ("off", "disabled"):
        return ""
    return "writes are not noted, so there is nothing to disable"


def _why_not_advance(standing: Standing) -> str:
    if standing.stage.following is None:
        return f"{standing.stage} is the last stage"
    return standing.may_not_enable if standing.stage is Stage.OFF else ""


def _why_not_rollback(standing: Standing) -> str:
    if standing.stage.ends_the_way_back:
        return f"no way leads back from {standing.stage}: the old store has not followed since"
    if standing.stage.way_back is None:
        ends = "; disable ends mirroring" if standing.stage.mirrors else ""
        return f"no way leads back from {standing.stage}{ends}"
    return ""


def _why_not_settle(standing: Standing) -> str:
    if not standing.half_done:
        return "nothing is half-done"
    return "" if SETTLES in standing.half_done else "enable brings it to its end"


_REASONS: dict[Verb, Callable[[Standing], str]] = {
    Verb.ENABLE: _why_not_enable,
    Verb.PAUSE: _why_not_pause,
    Verb.RESUME: _why_not_resume,
    Verb.DISABLE: _why_not_disable,
    Verb.ADVANCE: _why_not_advance,
    Verb.ROLLBACK: _why_not_rollback,
    Verb.SETTLE: _why_not_settle,
}

_MEANINGS: dict[Verb, Callable[[Standing], str]] = {
    Verb.ENABLE: lambda s: "note every write, and every key once, so that the mirror follows",
    Verb.PAUSE: lambda s: "the relay stands still; writes go on being noted",
    Verb.RESUME: lambda s: (
        "the relay goes on with what waits" + (", forced, as it had stopped" if s.held_because else "")
    ),
    Verb.DISABLE: lambda s: "emergency stop: nothing is noted, the mirror is unverified",
    Verb.ADVANCE: lambda s: f"to {s.stage.following}",
    Verb.ROLLBACK: lambda s: (
        f"to {s.stage.way_back}" + (", or earlier" if len(s.stage.steps_back_to(Stage.DUALWRITE)) > 1 else "")
    ),
    Verb.SETTLE: lambda s: "bring what was left half-done to its end",
}
