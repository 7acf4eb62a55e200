"""`disable`: the emergency stop. Nothing is noted any more, and the mirror is unverified until a full backfill.

It is written in the authority alone, so that it works when the other database is away. The stage stays; `enable` goes
on from there. How it can fail, and the answer:

* a switch is under way → wait for its end, which is bounded, then stop whichever store takes the writes;
* a switch was left half-done → settle it first;
* a switch is about to begin → it fences only a store that captures, and so refuses;
* an enable is under way → its generation is over, and it refuses to go on;
* the registry is away → the stop is done and kept in the authority's audit; what the registry lacks is told.
"""

import time
from dataclasses import dataclass

from dualwrite import switch
from dualwrite.control import transition
from dualwrite.control.plan import disabling
from dualwrite.exceptions import Refused, StoreFailed, StoreUnreachable, WrongStore
from dualwrite.failpoints import reach
from dualwrite.parameters import SWITCH_TIMEOUT_SECONDS
from dualwrite.stages import Role, Stage, Store
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State

#: A frozen switch loses its lock to the server's own timeout this long after its own, at the latest.
SPARE_SECONDS = 10.0


@dataclass(frozen=True)
class Disabled:
    """The authority in which it was done, whether that changed anything, and what could not be done elsewhere.

    `plan`: the sentences of a dry run.
    """

    stream: str
    authority: str
    changed: bool
    pending: tuple[str, ...]
    plan: tuple[str, ...] = ()


def disable(stream: Stream, actor: Actor, *, dry_run: bool = False) -> Disabled:
    """Switch capture off in the store that takes the writes: no write that starts after this is noted.

    With `dry_run`, `changed` says what it would be, and `plan` how. Raises StoreUnreachable when the authority, or a
    store needed to end a switch, is away; Refused when a switch does not come to its end, naming it; AuthorityUnknown.
    """
    if dry_run:
        here = switch.authority(stream)
        sentences = tuple(disabling(stream.name, here.store))
        return Disabled(stream.name, here.store.value, here.capture, (), sentences)
    pending: list[str] = []
    here = _stop(stream, actor, pending)
    if here.capture or _is_off(stream):
        _tell_registry(stream, actor, here, pending)
    return Disabled(stream.name, here.store.value, here.capture, tuple(pending))


def _is_off(stream: Stream) -> bool:
    """There is nothing to stop then, but that somebody does not want it is to be known (`at_start`)."""
    try:
        return transition.stage_of(stream) is Stage.OFF
    except StoreUnreachable:
        return False


def _stop(stream: Stream, actor: Actor, pending: list[str]) -> State:
    """Returns the authority as it was before."""
    until = time.monotonic() + SWITCH_TIMEOUT_SECONDS.value() + SPARE_SECONDS
    while True:
        try:
            here = _at_rest(stream, actor)
            reach("disable at rest")
            if here.capture or _enabling(stream, pending):
                switch.end_capture(stream, here.store, actor)
            return here
        except WrongStore:
            raise  # waiting does not mend it
        except Refused:
            # A switch is under way, or came in between. Asking again waits for its lock, so this does not spin.
            if time.monotonic() > until:
                raise
            reach("disable waits")


def _at_rest(stream: Stream, actor: Actor) -> State:
    here = switch.authority(stream)
    if here.role is Role.FENCED:
        switch.settle(stream, actor)
        here = switch.authority(stream)
    return here


def _enabling(stream: Stream, pending: list[str]) -> bool:
    """Whether somebody may be about to switch capture on; a new generation makes him refuse."""
    try:
        return transition.under_way(stream)
    except (StoreUnreachable, StoreFailed) as exc:
        pending.append(f"it could not be asked whether an enable is under way ({exc})")
        return True


def _tell_registry(stream: Stream, actor: Actor, here: State, pending: list[str]) -> None:
    evidence = {"authority": here.store.value, "epoch": here.epoch, "generation": here.generation}
    try:
        switch.audit(Store.REGISTRY, actor, "disable", stream.name, evidence)
    except (StoreUnreachable, StoreFailed) as exc:
        pending.append(f"the registry's audit lacks it, the {here.store}'s has it ({exc})")
