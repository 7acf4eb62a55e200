"""The brake: a relay that would delete more of the mirror than is normal stops and asks.

An emptied table, a wrong WHERE, a restored old backup: they all look like a flood of deletes. What is allowed is a
share of the mirror within a window. The window ends when it is old enough *and* the relay has caught up: a flood that
takes longer than the window to relay is still one flood, and steady deletes under steady load are none.
"""

from collections.abc import Callable

from dualwrite.exceptions import Held
from dualwrite.parameters import BRAKE_DELETE_PERCENT, BRAKE_DELETE_ROWS, BRAKE_WINDOW_SECONDS
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream


def allowed(rows: int, percent: float, at_least: int) -> int:
    """Deletes allowed on a mirror of that many rows."""
    return max(at_least, int(rows * percent / 100))


def brake(stream: Stream, registry: Session, caught_up: bool, deletes: int, mirror_rows: Callable[[], int]) -> None:
    """Account for deletes about to be made; raises Held when they exceed what is allowed.

    `registry` is the relay's own session there: where the registry is the mirror, a batch that is rolled back is not
    counted.
    """
    limit = allowed(mirror_rows(), BRAKE_DELETE_PERCENT.value(), BRAKE_DELETE_ROWS.value())
    window = BRAKE_WINDOW_SECONDS.value()
    values = {
        "stream": stream.name,
        "deletes": deletes,
        "allowed": limit,
        "caught_up": caught_up,
        "window": window,
    }
    if registry.execute(statement("relay", "spend"), values).rowcount != 1:
        share = f"{BRAKE_DELETE_PERCENT.value():g} % of it, at least {BRAKE_DELETE_ROWS.value()}"
        raise Held(f"the relay would delete more than {limit} rows of the mirror ({share}) within {window:g} s")


def hold(stream: Stream, registry: Session, because: str) -> None:
    """Stop relaying the stream until an operator confirms."""
    registry.execute(statement("relay", "hold"), {"stream": stream.name, "because": because})


def release(stream: Stream, registry: Session) -> None:
    """The outbox is empty: a confirmation has been used up."""
    registry.execute(statement("relay", "release_brake"), {"stream": stream.name})
