"""What is promised of each component, and what is left of the errors that allows. Pure.

How it can fail, and the answer: nobody looked for a while (the worker was down, the registry away) → that time is
blind, neither up nor down; where it could decide, the answer is "cannot be told", never a pass; an installation is an
hour old → its thirty days are that hour; a component was never looked at → it has no availability, not a perfect one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Name → seconds: what availability is told over.
WINDOWS: Mapping[str, float] = {"1h": 3_600.0, "24h": 86_400.0, "30d": 30 * 86_400.0}
#: The window over which an error budget is spent.
BUDGET_WINDOW = "30d"


@dataclass(frozen=True)
class Objective:
    """The share of time in which a component is to be UP."""

    component: str
    target: float


#: A component that is not named here is shown without an objective.
OBJECTIVES: tuple[Objective, ...] = (
    Objective("database", 0.999),
    Objective("screener", 0.995),
    Objective("redis", 0.999),
    Objective("celery", 0.995),
    Objective("beat", 0.995),
    Objective("relay", 0.995),
    Objective("dualWrite", 0.995),
    Objective("canary", 0.99),
    Objective("validation", 0.99),
    Objective("retention", 0.99),
    Objective("configService", 0.99),
    Objective("diskSpace", 0.999),
)


@dataclass(frozen=True)
class Seen:
    """Of a window, the seconds in which a component was up or down; the rest since the first look is blind."""

    up_seconds: float
    down_seconds: float
    since_seconds: float

    @property
    def blind_seconds(self) -> float:
        """Nobody looked, or whoever looked could not tell."""
        return max(0.0, self.since_seconds - self.up_seconds - self.down_seconds)

    @property
    def availability(self) -> float | None:
        """The share of the time seen in which it was up; None when it was never seen."""
        seen = self.up_seconds + self.down_seconds
        return self.up_seconds / seen if seen else None

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        share = self.availability
        return {
            "availability": None if share is None else round(share, 6),
            "down_seconds": round(self.down_seconds, 1),
            "blind_seconds": round(self.blind_seconds, 1),
        }


@dataclass(frozen=True)
class Budget:
    """Seconds that a component may be down in the window, and was; `met`: None when it cannot be told."""

    target: float
    allowed_seconds: float
    spent_seconds: float
    met: bool | None

    @property
    def left(self) -> float:
        """The share that is left; negative when more was spent than there was."""
        return 1 - self.spent_seconds / self.allowed_seconds if self.allowed_seconds else float(not self.spent_seconds)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        numbers = {"allowed_seconds": round(self.allowed_seconds, 1), "spent_seconds": round(self.spent_seconds, 1)}
        return {"target": self.target, **numbers, "left": round(self.left, 4), "met": self.met}


def budget(objective: Objective, seen: Seen, window_seconds: float) -> Budget:
    """What is left of the errors that the objective allows in the window."""
    allowed = (1 - objective.target) * window_seconds
    spent, worst = seen.down_seconds, seen.down_seconds + seen.blind_seconds
    met = False if spent > allowed else (True if worst <= allowed and seen.up_seconds else None)
    return Budget(objective.target, allowed, spent, met)


def objective_of(component: str) -> Objective | None:
    """What is promised of it; None: nothing."""
    return next((one for one in OBJECTIVES if one.component == component), None)
