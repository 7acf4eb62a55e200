"""What a half-done switch needs next, decided from both stores' rows alone. No I/O.

Source: the resume rule of the protocol, checked by the model in docs/protocol/. Both sides are looked at, the lower
epoch first: always taking the same side can go on for ever.
"""

from dataclasses import dataclass
from enum import StrEnum

from dualwrite.exceptions import AuthorityUnknown
from dualwrite.stages import Role, Store
from dualwrite.switch.state import State


class Step(StrEnum):
    """A step that brings a half-done switch nearer to its end."""

    DEMOTE = "demote"  #: the other store was promoted: the fenced one becomes its mirror
    REVERT = "revert"  #: the epoch is burnt: the fenced one takes the writes again
    PROMOTE = "promote"  #: everything is relayed: the other store takes the writes
    BURN = "burn"  #: not everything is, or it is distrusted: make the promotion impossible


@dataclass(frozen=True)
class Next:
    """The step, the store it changes, and the epoch of the switch it is about."""

    step: Step
    store: Store
    epoch: int

    def __str__(self) -> str:
        return f"{self.step} {self.store} (epoch {self.epoch})"


def decide(one: State, other: State, *, drained: bool) -> Next | None:
    """The next step; None when no store is fenced. `drained`: nothing waits in the fenced store's outbox.

    Raises AuthorityUnknown for rows that no switch leaves behind.
    """
    fenced = sorted((s for s in (one, other) if s.role is Role.FENCED), key=lambda s: s.epoch)
    if not fenced:
        return None
    side = fenced[0]
    peer = other if side is one else one
    step = _step(side, peer, drained)
    return Next(step, side.store if step in (Step.DEMOTE, Step.REVERT) else peer.store, side.epoch)


def _step(side: State, peer: State, drained: bool) -> Step:
    promoted = peer.role is Role.AUTHORITY and peer.epoch >= side.epoch
    if promoted or (peer.role is Role.FENCED and peer.epoch > side.epoch):
        return Step.DEMOTE
    if peer.role is Role.MIRROR and peer.epoch == side.epoch:
        return Step.REVERT
    if peer.role is Role.MIRROR and peer.epoch < side.epoch:
        return Step.PROMOTE if drained and not peer.distrusted else Step.BURN
    raise AuthorityUnknown(
        f"the {side.store} store is fenced at epoch {side.epoch}, "
        f"but the {peer.store} store is {peer.role} at epoch {peer.epoch}"
    )
