"""Reasons: what an operator must give for what cannot be taken for granted, and what counts as one. No I/O."""

from dualwrite.exceptions import UsageError
from dualwrite.switch import Actor


def require_reason(actor: Actor, what: str, *, needed: bool = True) -> None:
    """Raise UsageError naming what needs the reason, when it is needed and there is none; a blank one is none."""
    if needed and not actor.reason.strip():
        raise UsageError(f"{what} needs a reason: --reason WHY")
