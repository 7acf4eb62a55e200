"""Streams enabled through the engine's own verb, while their tables are still empty."""

from dualwrite.control.enable import enable
from dualwrite.relay.worker import drain
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream
from dualwrite.switch import Actor

ACTOR = Actor("benchmark", "a benchmark")


def enable_empty(stream: Stream) -> None:
    """From here on every write to the stream's table in the old store is noted."""
    enable(stream, ACTOR)
    drain(stream)


def empty_outbox() -> None:
    """Forget all notes of the old store: what waits there must not grow from round to round."""
    with cursor(Store.SCREENER) as found:
        found.execute("TRUNCATE dualwrite.outbox")
