"""Typed live parameters: name, default, bounds. Sources today: the environment, then the default.

`BATCH_SIZE.value()` reads at each call, so a changed source is seen without a restart.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dualwrite.exceptions import InvalidParameter

PREFIX = "INSTRUMENT_REGISTRY_"
T = TypeVar("T")


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """One parameter; `parse` turns text into a value or raises ValueError saying what is valid."""

    name: str
    default: T
    parse: Callable[[str], T]
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name

    def value(self) -> T:
        """The value in force; raises InvalidParameter for a text that is none."""
        text = os.environ.get(self.variable)
        if text is None or not text.strip():
            return self.default
        try:
            return self.parse(text.strip())
        except ValueError as exc:
            raise InvalidParameter(f"{self.variable}={text!r}; {exc}") from exc


def _boolean(text: str) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError("valid: true or false")
    return words[text.lower()]


def _between(low: float, high: float, kind: Callable[[str], T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        try:
            number = kind(text)
        except ValueError:
            raise ValueError(f"valid: a number from {low:g} to {high:g}") from None
        if not low <= number <= high:  # type: ignore[operator]
            raise ValueError(f"valid: a number from {low:g} to {high:g}")
        return number

    return parse


DUAL_WRITE_ENABLED = Parameter("DUAL_WRITE_ENABLED", False, _boolean, "whether a stream may be enabled")
BATCH_SIZE = Parameter("BATCH_SIZE", 10_000, _between(1, 100_000, int), "keys the relay moves in one transaction")
BRAKE_DELETE_PERCENT = Parameter(
    "BRAKE_DELETE_PERCENT",
    10.0,
    _between(0, 100, float),
    "share of the mirror's rows the relay may delete within the brake's window; more holds the stream",
)
BRAKE_DELETE_ROWS = Parameter(
    "BRAKE_DELETE_ROWS",
    50,
    _between(0, 1_000_000_000, int),
    "deletes always allowed, however small the mirror",
)
BRAKE_WINDOW_SECONDS = Parameter(
    "BRAKE_WINDOW_SECONDS",
    60.0,
    _between(1, 86_400, float),
    "how long the brake adds deletes up, once caught up",
)
SWITCH_TIMEOUT_SECONDS = Parameter(
    "SWITCH_TIMEOUT_SECONDS",
    5.0,
    _between(0.1, 300, float),
    "how long writers wait for a switch at most, before it is taken back",
)
SWITCH_LOCK_SECONDS = Parameter(
    "SWITCH_LOCK_SECONDS",
    30.0,
    _between(0.1, 3_600, float),
    "how long a switch tries to get between two writers before it is refused",
)
CANARY_TIMEOUT_SECONDS = Parameter(
    "CANARY_TIMEOUT_SECONDS",
    10.0,
    _between(0.1, 300, float),
    "how long a gate waits for a key it noted itself to be relayed",
)
VALIDATION_MAX_AGE_SECONDS = Parameter(
    "VALIDATION_MAX_AGE_SECONDS",
    3600.0,
    _between(1, 2_592_000, float),
    "how old the clean strict validation may be on which a stage change relies",
)
MAX_LAG_SECONDS = Parameter(
    "MAX_LAG_SECONDS",
    5.0,
    _between(0.01, 86_400, float),
    "age of the oldest waiting key that a stage change tolerates",
)
SOAK_SECONDS = Parameter(
    "SOAK_SECONDS",
    5.0,
    _between(0, 3600, float),
    "how long the lag must stay below its limit before a stage change",
)

ALL: tuple[Parameter[bool] | Parameter[int] | Parameter[float], ...] = (
    DUAL_WRITE_ENABLED,
    BATCH_SIZE,
    BRAKE_DELETE_PERCENT,
    BRAKE_DELETE_ROWS,
    BRAKE_WINDOW_SECONDS,
    CANARY_TIMEOUT_SECONDS,
    VALIDATION_MAX_AGE_SECONDS,
    MAX_LAG_SECONDS,
    SOAK_SECONDS,
    SWITCH_TIMEOUT_SECONDS,
    SWITCH_LOCK_SECONDS,
)
