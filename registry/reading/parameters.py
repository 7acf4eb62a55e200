"""Live parameters of the API: who reads where, how much is compared, when the old contract ends."""

import datetime as dt
import re

from dualwrite.parameters import Parameter, between, boolean, register
from dualwrite.stages import Store

_PIN = re.compile(r"(?P<consumer>[^=,]+)=(?P<store>screener|registry)")


class Pins(dict[str, Store]):
    """Consumers and the stores they are pinned to; as text as it was given."""

    def __str__(self) -> str:
        return ", ".join(f"{consumer}={store}" for consumer, store in self.items())


def pins(text: str) -> Pins:
    """The stores of a text such as `pricing=registry, risk=screener`; raises ValueError."""
    found = Pins()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PIN.fullmatch(part)
        if match is None:
            raise ValueError("valid: CONSUMER=screener or CONSUMER=registry, separated by commas")
        found[match["consumer"].strip()] = Store(match["store"])
    return found


def day(text: str) -> dt.date | None:
    """The day `YYYY-MM-DD`, or none; raises ValueError."""
    if text.lower() == "none":
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError("valid: a day as YYYY-MM-DD, or none") from None


SHADOW_PERCENT = Parameter(
    "READ_ROLLOUT_SHADOW_PERCENT",
    0.0,
    between(0, 100, float),
    "of how many percent of the consumers the registry answers reads at stage shadow",
)
LIVE_PERCENT = Parameter(
    "READ_ROLLOUT_LIVE_PERCENT",
    100.0,
    between(0, 100, float),
    "of how many percent of the consumers the registry answers reads at stage live",
)
PINNED = Parameter(
    "READ_PINNED",
    Pins(),
    pins,
    "consumers whose reads one store answers at shadow and live, e.g. pricing=registry, risk=screener",
)
COMPARED_PERCENT = Parameter(
    "READ_COMPARED_PERCENT",
    5.0,
    between(0, 100, float),
    "how many percent of the reads at shadow and live are compared",
)
COMPARED_WITH_ITSELF = Parameter(
    "READ_COMPARED_WITH_ITSELF",
    False,
    boolean,
    "compare the store that answered with itself: what differs then is the noise of comparing",
)
DEADLINE_SECONDS = Parameter(
    "READ_COMPARISON_SECONDS", 2.0, between(0.05, 60, float), "after how many seconds a comparison is given up"
)
DEPRECATED_SINCE = Parameter[dt.date | None](
    "SCREENER_DEPRECATED_SINCE", None, day, "since which day the old contract is deprecated, told with every answer"
)
SUNSET = Parameter[dt.date | None](
    "SCREENER_SUNSET", None, day, "from which day the old contract may be gone, told with every answer"
)


def register_all() -> None:
    """Let them be listed, asked for at the config service, and set by operators."""
    register(
        SHADOW_PERCENT,
        LIVE_PERCENT,
        PINNED,
        COMPARED_PERCENT,
        COMPARED_WITH_ITSELF,
        DEADLINE_SECONDS,
        DEPRECATED_SINCE,
        SUNSET,
    )
