"""Relaying the last keys of a store whose writers are about to wait, or wait: a switch, and the end of the way back.

How it can fail, and the answer:

* the relay is paused, a key is parked, or it takes too long → Refused, and whoever asked takes back what it had begun.
"""

import sys
import time
from collections.abc import Callable

from dualwrite.exceptions import Refused
from dualwrite.relay.pipe import Pipe

#: A batch with no more keys than this is relayed within a few milliseconds.
SOON_DONE = 200
#: No fewer are to be expected while writers write.
FEW = 20


class LastKeys:
    """Through one pipe, in `seconds` before writers wait and again while they wait; counts what it relayed."""

    def __init__(self, pipe: Pipe, seconds: float) -> None:
        self._pipe, self._seconds = pipe, seconds
        self.keys = 0

    def relay(self) -> int:
        """One batch; returns its keys. Raises Refused when nothing may be relayed, or a key was parked."""
        moved = self._pipe.move()
        if moved.still:
            raise Refused(f"{self._about}: nothing is relayed: {moved.still}")
        if moved.parked:
            to = self._pipe.authority.peer
            raise Refused(f"{self._about}: {moved.parked} keys could not be applied to {to} and were parked")
        self.keys += moved.keys
        return moved.keys

    def catch_up(self) -> None:
        """While writers still write, until little is left; raises Refused when it does not come to that in time."""
        until, before = time.monotonic() + self._seconds, sys.maxsize
        while time.monotonic() < until:
            moved = self.relay()
            if moved <= FEW or before <= moved <= SOON_DONE:
                return
            before = moved
        raise Refused(f"{self._about}: the relay does not catch up within {self._seconds:g} s")

    def drain(self, drained: Callable[[], bool], since: float) -> None:
        """While writers wait, which they do since then, until nothing is left; raises Refused when it takes longer."""
        until = since + self._seconds
        while not drained():
            if time.monotonic() > until:
                raise Refused(f"{self._about}: the last keys were not relayed within {self._seconds:g} s")
            self.relay()
        if time.monotonic() > until:
            raise Refused(f"{self._about}: relaying the last keys took longer than {self._seconds:g} s")

    @property
    def _about(self) -> str:
        return f"stream {self._pipe.stream.name}"
