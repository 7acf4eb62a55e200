"""The brake: a relay that would delete more of the mirror than is normal stops and asks.

An emptied table, a wrong WHERE, a restored old backup: they all look like a flood of deletes. What is allowed is a
share of the mirror within a window. The window ends when it is old enough *and* the relay has caught up: a flood that
takes longer than the window to relay is still one flood, and steady deletes under steady load are none.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite.exceptions import Held
from dualwrite.parameters import BRAKE_DELETE_PERCENT, BRAKE_DELETE_ROWS, BRAKE_WINDOW_SECONDS
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream


@dataclass(frozen=True)
class Batch:
    """What the brake knows of a batch: the id of its oldest note, and whether it took all that waited."""

    oldest_note: int
    caught_up: bool


def allowed(rows: int) -> int:
    """Deletes allowed within the window on a mirror of that many rows."""
    return max(BRAKE_DELETE_ROWS.value(), int(rows * BRAKE_DELETE_PERCENT.value() / 100))


def brake(stream: Stream, registry: Session, batch: Batch, deletes: int, mirror_rows: Callable[[], int]) -> None:
    """Account for deletes about to be made; raises Held when they exceed what is allowed.

    What an operator confirmed is let through, up to the newest note of that moment. `registry` is the relay's own
    session there: where the registry is the mirror, a batch that is rolled back is not counted.
    """
    limit, window = allowed(mirror_rows()), BRAKE_WINDOW_SECONDS.value()
    values = {"stream": stream.name, "deletes": deletes, "allowed": limit, "window": window, **vars(batch)}
    if registry.execute(statement("relay", "spend"), values).rowcount != 1:
        share = f"{BRAKE_DELETE_PERCENT.value():g} % of it, at least {BRAKE_DELETE_ROWS.value()}"
        raise Held(f"the relay would delete more than {limit} rows of the mirror ({share}) within {window:g} s")


def hold(stream: Stream, registry: Session, because: str) -> None:
    """Stop relaying the stream until an operator confirms."""
    registry.execute(statement("relay", "hold"), {"stream": stream.name, "because": because})
