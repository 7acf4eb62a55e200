"""The brake: a relay that would delete more of the mirror than is normal stops and asks.

An emptied table, a wrong WHERE, a restored old backup: they all look like a flood of deletes. What is allowed is a
share of the mirror, counted from the moment the outbox was last empty; an operator can confirm.
"""

from collections.abc import Callable

from dualwrite.exceptions import Held
from dualwrite.parameters import BRAKE_DELETE_PERCENT, BRAKE_DELETE_ROWS
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream


def allowed(rows: int, percent: float, at_least: int) -> int:
    """Deletes allowed on a mirror of that many rows."""
    return max(at_least, int(rows * percent / 100))


def brake_for(stream: Stream, registry: Session) -> Callable[[int, Callable[[], int]], None]:
    """The brake of one stream. Its account is in the control row, written over `registry`: the relay's own session
    there, so that, where the registry is the mirror, a batch that is rolled back is not counted.
    """

    def brake(deletes: int, mirror_rows: Callable[[], int]) -> None:
        limit = allowed(mirror_rows(), BRAKE_DELETE_PERCENT.value(), BRAKE_DELETE_ROWS.value())
        values = {"stream": stream.name, "deletes": deletes, "allowed": limit}
        if registry.execute(statement("relay", "spend"), values).rowcount != 1:
            share = f"{BRAKE_DELETE_PERCENT.value():g} % of it, at least {BRAKE_DELETE_ROWS.value()}"
            raise Held(f"the relay would delete more than {limit} rows of the mirror ({share})")

    return brake


def hold(stream: Stream, registry: Session, because: str) -> None:
    """Stop relaying the stream until an operator confirms."""
    registry.execute(statement("relay", "hold"), {"stream": stream.name, "because": because})


def release(stream: Stream, registry: Session) -> None:
    """The outbox was empty: count anew."""
    registry.execute(statement("relay", "release_brake"), {"stream": stream.name})
