"""Which stores do not answer, found out within a second; and work on what does, waited for so long and no longer."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

from dualwrite.monitoring.side_by_side import Outcome, begun
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import cursor, present

T = TypeVar("T")
LIMIT_SECONDS = 0.9


def away() -> Mapping[Store, str]:
    """The stores that do not answer, each with why not."""
    stores = present()
    outcomes = within([begun(f"{store} in an emergency", _asking(store)) for store in stores], LIMIT_SECONDS)
    return {
        store: why_not(outcome, LIMIT_SECONDS)
        for store, outcome in zip(stores, outcomes, strict=True)
        if outcome.value is None
    }


def _asking(store: Store) -> Callable[[], bool]:
    def ask() -> bool:
        with cursor(store) as found:
            found.execute("SELECT 1")
            return True

    return ask


def within(futures: Sequence["Future[Outcome[T]]"], seconds: float) -> list[Outcome[T]]:
    """What came of them within so many seconds altogether; neither value nor error of what is still being done."""
    until = time.monotonic() + seconds
    return [_awaited(future, until) for future in futures]


def _awaited(future: "Future[Outcome[T]]", until: float) -> Outcome[T]:
    try:
        return future.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return Outcome(0.0)
