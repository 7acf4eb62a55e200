"""Watching the lag for a while: one low moment proves nothing."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: Seconds between two looks.
EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Watched:
    """How often it was looked, and the highest lag seen, in seconds."""

    samples: int
    highest_seconds: float


def watch(look: Callable[[], float], limit: float, soak: float) -> Watched:
    """Look for `soak` seconds, at least once; ends early when the limit is reached."""
    pace, until = threading.Event(), time.monotonic() + soak
    samples, highest = 1, look()
    while highest < limit and time.monotonic() < until:
        pace.wait(EVERY_SECONDS)
        samples, highest = samples + 1, max(highest, look())
    return Watched(samples, round(highest, 3))
