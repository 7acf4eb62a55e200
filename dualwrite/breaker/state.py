"""What a breaker is, and what each answer of the mirror makes of it. Times are UNIX seconds. No I/O."""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

FIRST_PAUSE_SECONDS = 1.0
#: Whoever tries has so long; then it is another one's turn.
TURN_SECONDS = 10.0


class Position(StrEnum):
    """Whether writes wait for the mirror; half-open: one of them may try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True)
class State:
    """Failures in a row, why the last one, since when it is open (0: closed) and when somebody may try again.

    `trying`: somebody does now.
    """

    failures: int = 0
    error: str = ""
    opened_at: float = 0.0
    try_at: float = 0.0
    trying: bool = False

    def position(self, now: float) -> Position:
        """As it is now."""
        if not self.opened_at:
            return Position.CLOSED
        return Position.OPEN if now < self.try_at else Position.HALF_OPEN

    def failed(self, error: str, now: float, *, most: int, longest: float) -> "State":
        """After one more failure: it opens with the one that makes `most`, and pauses twice as long each time."""
        failures = self.failures + 1
        if failures < most:
            return State(failures, error)
        if self.position(now) is Position.OPEN and not self.trying:
            # Those that were under way when it opened; only whoever tries makes the pause longer.
            return replace(self, error=error)
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - most, 20), longest)
        return State(failures, error, self.opened_at or now, now + pause)

    def tried(self, now: float) -> "State":
        """After somebody took the turn to try."""
        return replace(self, try_at=now + TURN_SECONDS, trying=True)

    def as_text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str | bytes | None) -> "State":
        """What was kept; closed where nothing was, or what another release may have kept there."""
        try:
            known: dict[str, Any] = json.loads(text or "{}")
            return cls(**known)
        except (ValueError, TypeError):
            return cls()
