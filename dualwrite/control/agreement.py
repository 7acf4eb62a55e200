"""Which stage agrees with what both stores are, and what that says of an interrupted transition. No I/O."""

from dualwrite.exceptions import AuthorityUnknown, ConcurrentChange, DualWriteError, Refused, TakenBack
from dualwrite.models import TransitionStatus
from dualwrite.stages import Role, Stage, Store
from dualwrite.switch import State


def is_fenced(screener: State, registry: State) -> bool:
    """Whether a switch is under way or was left half-done."""
    return Role.FENCED in (screener.role, registry.role)


def stage_agreeing(stage: Stage, screener: State, registry: State, *, step: tuple[Stage, Stage] | None = None) -> Stage:
    """The stage that agrees with both rows: the recorded one unless the rows say otherwise.

    `step`: the stages before and after of a transition that was interrupted. A fenced store counts as the authority it
    was. Raises AuthorityUnknown when neither or both are it.
    """
    authority = _authority(screener, registry)
    if authority is Store.REGISTRY and screener.role is Role.DETACHED:
        return Stage.COMPLETE  # only its last step detaches the old store
    follows = registry.role is Role.MIRROR and screener.capture and screener.backfilled
    if stage is Stage.OFF and authority is Store.SCREENER and follows:
        return Stage.DUALWRITE
    if stage.authority is authority:
        return stage
    # The authority has moved without the stage: to where the interrupted transition led, or else as near as can be.
    fallback = Stage.LIVE if authority is Store.REGISTRY else Stage.SHADOW
    return next((s for s in reversed(step or ()) if s.authority is authority), fallback)


def _authority(screener: State, registry: State) -> Store:
    for role in (Role.AUTHORITY, Role.FENCED):
        claims = [s for s in (screener, registry) if s.role is role]
        if len(claims) == 1:
            return claims[0].store
        if claims:
            break
    raise AuthorityUnknown(", ".join(f"{s.store} is {s.role}" for s in (screener, registry)))


def ending(before: Stage, after: Stage, agreed: Stage, because: DualWriteError | None) -> TransitionStatus:
    """How a transition ended that did not close its row itself.

    `agreed`: the stage that agrees with both stores. `because`: what broke it off; None when its process died.
    """
    if agreed is after:
        return TransitionStatus.DONE
    if isinstance(because, Refused) and not isinstance(because, TakenBack | ConcurrentChange):
        return TransitionStatus.REFUSED
    return TransitionStatus.TAKEN_BACK if before.switches_to(after) else TransitionStatus.CRASHED
