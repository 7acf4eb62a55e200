"""A relay at work beside a test, and none any more."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dualwrite import switch
from dualwrite.control.relaying import relaying
from dualwrite.relay import worker
from dualwrite.stream import Stream
from tests.support import at_work


@contextmanager
def relay(stream: Stream) -> Iterator[None]:
    """A relay in a thread of its own; it has ended when this ends."""
    stop = threading.Event()
    with at_work(lambda: worker.run([stream], stop)):
        try:
            yield
        finally:
            stop.set()


def unattended(stream: Stream) -> None:
    """Return when no relay has partitions any more; a server takes a moment to end a closed session."""
    deadline = time.monotonic() + 20
    while relaying(stream, switch.authority(stream).store).facts["partitions_held"]:
        assert time.monotonic() < deadline, "a relay is still there after 20 s"
