"""`reset`: every stream stands still, and nothing waits any more that only waits for time to pass.

Outbox, parked keys, history and audit stay as they are.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from dualwrite import breaker, runs, switch
from dualwrite.configuration import keep
from dualwrite.control.pause import pause
from dualwrite.emergency.reach import away, within
from dualwrite.exceptions import Refused
from dualwrite.models import DrillRun, RestoreRun, RetentionRun, Run, ValidationRun
from dualwrite.monitoring.alerts.operate import end_cool_downs
from dualwrite.monitoring.side_by_side import begun
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import failing, present
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor

LIMIT_SECONDS = 1.0
LEFT = (
    "the outbox: what was noted is relayed when a stream is resumed",
    "parked keys: POST /actuator/dual-write/redrive, or manage.py dualwrite redrive, sends them again",
    "the stages, and whether writes are noted: disable stops that",
    "the audit, and the history of runs and alerts",
)
NEXT = "manage.py dualwrite status, then manage.py dualwrite resume --stream NAME for each stream"


@dataclass(frozen=True)
class Step:
    """One thing that was to be done: whether it is, and in a sentence what it was, or why it is not."""

    step: str
    done: bool
    sentence: str


@dataclass(frozen=True)
class Reset:
    """What was done, and what was left alone on purpose."""

    steps: tuple[Step, ...]
    left: tuple[str, ...] = LEFT
    next: str = NEXT

    @property
    def complete(self) -> bool:
        """Whether everything was done."""
        return all(step.done for step in self.steps)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {"complete": self.complete, **asdict(self)}


def reset(actor: Actor) -> Reset:
    """Do it, step by step, each for itself; raises nothing but what is a fault of this program."""
    gone = away()
    works: dict[str, Callable[[], str]] = {
        **{f"pause {stream.name}": partial(_pause, stream, actor) for stream in all_streams()},
        "mirror breakers": _close,
        "config service": _ask_again,
        "alerts": _cool,
        "dead runs": _bury,
        "audit": partial(_audit, actor),
    }
    outcomes = within([begun(f"reset: {name}", work, gone) for name, work in works.items()], LIMIT_SECONDS)
    steps = [
        Step(name, outcome.value is not None, outcome.value or why_not(outcome, LIMIT_SECONDS))
        for name, outcome in zip(works, outcomes, strict=True)
    ]
    return Reset(tuple(steps))


def _pause(stream: Stream, actor: Actor) -> str:
    try:
        changed = pause(stream, Actor(actor.name, f"emergency reset{f': {actor.reason}' if actor.reason else ''}"))
    except Refused as exc:
        return f"nothing to pause: {exc.detail or exc}"
    return "paused; whether writes are noted is as it was" if changed else "paused already"


def _close() -> str:
    """What is away opens its breaker again at once."""
    closed = breaker.reset(present())
    return (
        f"closed: {' and '.join(f'the {store} store as a mirror' for store in closed)}" if closed else "none was open"
    )


def _ask_again() -> str:
    return "it is asked again at the next look" if keep.ask_now() else "it was not left alone"


def _cool() -> str:
    return f"{end_cool_downs()} cool-downs and pauses between messages are over"


def _bury() -> str:
    models: tuple[type[Run], ...] = (ValidationRun, RetentionRun, RestoreRun, DrillRun)
    dead = 0
    for model in models:
        with failing(Store.REGISTRY):
            running = set(model._default_manager.filter(status=Run.RUNNING).values_list("stream", flat=True))
        dead += sum(runs.reap(model, stream) for stream in running)
    return f"{dead} runs whose process died are closed"


def _audit(actor: Actor) -> str:
    switch.audit(Store.REGISTRY, actor, "emergency reset")
    return "the audit has it"
