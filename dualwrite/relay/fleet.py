"""Several relays share the partitions of a stream: who is there, and which of them are whose.

Each relay keeps one connection to the authority only for this. On it, it is counted (a shared lock), and has its
partitions (a lock each); all of that ends with the connection, so nothing has to be cleaned up after a relay that died.
Once a second a relay compares what it has with its share: it gives away what is above it, and takes what is free below.

How it can fail, and the answer:

* a relay is killed → its connection ends, and the others take its partitions with their next look;
* a relay, or its machine, stands still → the server ends a connection that is silent for 4 s;
* it wakes up and goes on → its fences were taken, and the mirror refuses what it brings (`applier`);
* it gives a partition away with a batch of it in hand → it never does: partitions change hands between two batches,
  and what was read ahead is dropped (`ahead`);
* there are more relays than partitions → the others stand by;
* a relay was told its partitions (`relay --partition`) → it has those and no others, and is not counted; it claims them
  (a shared lock each), and those that share leave them to it, whoever was there first;
* one does not give way to a switch, and is refused by it, or its connection ends → nobody takes its partitions then, as
  the switch claims all of them;
* one stands still within a transaction of the mirror → its fences are locked until the server ends that, after 30 s;
  its partitions wait for as long, those of the others do not.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg import errors

from dualwrite.exceptions import Superseded
from dualwrite.session import PRESENCE
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import Stream

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0


def share(partitions: int, relays: int) -> int:
    """How many partitions each of so many relays has at most; together that is all of them."""
    return -(-partitions // max(relays, 1))


class Presence:
    """This relay as the others see it: one of the fleet, unless it is not `counted`, with the partitions it locked."""

    def __init__(self, stream: Stream, authority: Store, stack: ExitStack, *, counted: bool) -> None:
        self._stream, self._using = stream, threading.Lock()
        name = f"relay {stream.name} presence"
        self._session = stack.enter_context(dedicated(authority, name, limits=PRESENCE))
        if counted:
            self._session.execute(statement("relay", "join_fleet"), {"stream": stream.name})
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name=name, daemon=True)
        self._beat.start()
        stack.callback(self._end)

    def relays(self) -> int:
        """How many relays share the stream now, this one among them."""
        return int(self._ask("fleet", stream=self._stream.name))

    def claim(self, partitions: Sequence[int]) -> None:
        """Have these left to this relay by those that share."""
        for partition in partitions:
            self._ask("claim_partition", name=self._name(partition))

    def claim_all(self) -> None:
        """Have every partition left to this one by all others: a switch relays the last notes itself."""
        self._ask("claim_partition", name=self._all)

    def unclaimed(self, partitions: Sequence[int], *, told: bool) -> list[int]:
        """Those of the partitions that may be taken; one that was `told` its own need not leave them to others told."""
        names = {self._name(partition): partition for partition in partitions}
        claimed = set(self._ask("claimed", names=[*names, self._all]))
        if self._all in claimed:
            return []
        return [partition for name, partition in names.items() if told or name not in claimed]

    def lock(self, partitions: Sequence[int], most: int) -> list[int]:
        """Those of the partitions that nobody had, up to so many."""
        got: list[int] = []
        for partition in partitions:
            if len(got) >= most:
                break
            if self._ask("try_partition", name=self._name(partition)):
                got.append(partition)
        return got

    def leave(self, partitions: Sequence[int]) -> None:
        """Let other relays have these."""
        for partition in partitions:
            self._ask("leave_partition", name=self._name(partition))

    def wanted(self, partitions: Sequence[int]) -> bool:
        """Whether somebody waits for one of them: a switch, which relays the last notes itself."""
        return bool(self._ask("wanted", names=[self._name(partition) for partition in partitions]))

    def wait_for(self, partitions: Sequence[int], seconds: float) -> bool:
        """Have all of these, whose relays give way; false when one did not within so many seconds."""
        until = time.monotonic() + seconds
        with self._using:
            try:
                for partition in partitions:
                    left = max(int((until - time.monotonic()) * 1000), 1)
                    self._session.execute("SELECT set_config('lock_timeout', %s, false)", (f"{left}ms",))
                    self._session.execute(statement("relay", "wait_partition"), {"name": self._name(partition)})
            except errors.LockNotAvailable:
                return False
            finally:
                self._session.execute("RESET lock_timeout")
        return True

    def _name(self, partition: int) -> str:
        return lock_name(self._stream, partition)

    @property
    def _all(self) -> str:
        return f"{self._stream.name}/all"

    def _ask(self, question: str, **values: object) -> Any:
        with self._using:
            try:
                row = self._session.execute(statement("relay", question), values).fetchone()
            except psycopg.OperationalError as exc:
                # With the connection went the partitions: others may have them.
                raise Superseded(f"stream {self._stream.name}: the relay was silent for too long") from exc
        return row[0] if row else None

    def _keep_alive(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with self._using:
                if self._ended.is_set():
                    return
                try:
                    self._session.execute("SELECT 1")
                except psycopg.Error as exc:
                    # The relay finds out with its next question, and begins anew.
                    log.debug("stream %s: %s", self._stream.name, exc)
                    return

    def _end(self) -> None:
        self._ended.set()
        self._beat.join()


def lock_name(stream: Stream, partition: int) -> str:
    """What a partition is called in its lock."""
    return f"{stream.name}/{partition}"
