"""Carrying a confirmed verb out: the function that command, endpoint and task call too, and a sentence about it."""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite.admin.verbs import Verb
from dualwrite.control import transition
from dualwrite.control.advance import advance, rollback
from dualwrite.control.asked import Asked
from dualwrite.control.disable import disable
from dualwrite.control.enable import enable
from dualwrite.control.pause import pause, resume
from dualwrite.control.step import Moved
from dualwrite.exceptions import ConcurrentChange
from dualwrite.stages import Stage
from dualwrite.stream import Stream
from dualwrite.switch import Actor


@dataclass(frozen=True)
class Order:
    """What was confirmed. `seen`: the stage the page showed; `to`: the stage to go to, for a verb that moves."""

    stream: Stream
    actor: Actor
    seen: Stage
    to: Stage | None = None
    force: bool = False


@dataclass(frozen=True)
class Done:
    """A sentence for people, whether anything changed, and what could not be done elsewhere."""

    sentence: str
    changed: bool
    pending: tuple[str, ...] = ()


def carry_out(verb: Verb, order: Order) -> Done:
    """Do it; raises what the verb raises."""
    done = _VERBS[verb](order)
    return Done(f"Stream {order.stream.name}: {done.sentence}", done.changed, done.pending)


def _enable(order: Order) -> Done:
    done = enable(order.stream, order.actor, force=order.force)
    if done.preview is None:
        return Done("enabled already" if not done.changed else "enabled", done.changed)
    moved = f"{Stage.OFF} → {Stage.DUALWRITE}" if order.seen is Stage.OFF else f"enabled again at {order.seen}"
    return Done(f"{moved}; {done.preview.sentence()}; {done.noted} keys noted", done.changed)


def _pause(order: Order) -> Done:
    changed = pause(order.stream, order.actor)
    return Done("paused; writes go on being noted" if changed else "paused already", changed)


def _resume(order: Order) -> Done:
    changed = resume(order.stream, order.actor, force=order.force)
    return Done("resumed" if changed else "was not paused", changed)


def _disable(order: Order) -> Done:
    done = disable(order.stream, order.actor)
    sentence = f"disabled; writes to the {done.authority} store are no longer noted, and the mirror is unverified"
    return Done(sentence if done.changed else "writes were not noted already", done.changed, done.pending)


def _advance(order: Order) -> Done:
    _require_as_seen(order)
    return _moved(advance(order.stream, order.actor, to=order.to, asked=Asked(order.seen), force=order.force))


def _rollback(order: Order) -> Done:
    _require_as_seen(order)
    return _moved(rollback(order.stream, order.actor, to=order.to, asked=Asked(order.seen), force=order.force))


def _settle(order: Order) -> Done:
    changed = transition.settle_and_repair(order.stream, order.actor)
    stage = transition.stage_of(order.stream)
    return Done(f"settled; the stage is {stage}" if changed else f"nothing to settle; the stage is {stage}", changed)


def _require_as_seen(order: Order) -> None:
    """A form sent twice, or shown long ago, says why it is refused; the verb itself would, in other words."""
    here = transition.stage_of(order.stream)
    if here is not order.seen:
        raise ConcurrentChange(
            f"stream {order.stream.name} is at stage {here}, and was at {order.seen} when the page was shown"
        )


def _moved(moved: Moved) -> Done:
    waited = "" if moved.stall_seconds is None else f"; writers waited {moved.stall_seconds * 1000:.0f} ms"
    kept = "" if moved.transition is None else f"; transition {moved.transition}"
    so = "" if moved.changed else "; so already"
    return Done(f"{moved.before} → {moved.after}{waited}{kept}{so}", moved.changed)


_VERBS: dict[Verb, Callable[[Order], Done]] = {
    Verb.ENABLE: _enable,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.DISABLE: _disable,
    Verb.ADVANCE: _advance,
    Verb.ROLLBACK: _rollback,
    Verb.SETTLE: _settle,
}
