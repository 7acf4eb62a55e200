"""What a switch costs those who write meanwhile, and whether anything is lost.

Four processes save memberships at 500 saves a second in all, a relay process relays, and this one hands the authority
over and back. A stall is the time from the first try of a save that met a switch to its acknowledgement, whatever lies
between: waiting, the refusal, going to the other store. It is compared with the saves of the same round that met none.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median

from psycopg import sql

from benchmarks.enabling import ACTOR, empty_outbox, enable_empty
from benchmarks.errors import BenchError
from benchmarks.following import SAVES_PER_SECOND, Followers, Key, Written
from benchmarks.harness import Case, Goal, Group, Ratio, Sample, quotient
from benchmarks.members import MIRROR_FACTOR, Members
from dualwrite import outbox, projection, switch
from dualwrite.control.handover import HandedOver, hand_over
from dualwrite.control.rehearsal.figures import Times, Window, split, times
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import Stream, stream_named

ROUNDS = 5
SWITCHES = 10
#: Load before, between and after switches, once the relay keeps up again.
BETWEEN_SECONDS = 0.5
KEEPING_UP = 50
PATIENCE_SECONDS = 30.0
STALL = Goal(20)
LOST = Goal(0)
RATE = Goal(0.95, at_least=True)


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Sequence[Group]]:
    """The one group: `rows` memberships, each saved in turn."""
    stream = stream_named("index_memberships")
    enable_empty(stream)
    say(f"filling both stores with {rows} memberships")
    Members(stream, rows // MIRROR_FACTOR).fill()
    empty_outbox()
    with Followers() as writers, _relay():
        rounds = _Rounds(stream, writers)
        yield [Group(ROUNDS, _cases(rounds), _ratios(rounds), between=rounds.next)]


def _cases(rounds: "_Rounds") -> dict[str, Case]:
    """All of them are views of the one round that is measured for them."""
    views: dict[str, Callable[[_Measured], float]] = {
        "save": lambda found: found.ordinary.p50,
        "save_p99": lambda found: found.ordinary.p99,
        "stall_p50": lambda found: found.stalls.p50,
        "stall_p99": lambda found: found.stalls.p99,
        "stall_longest": lambda found: found.stalls.longest,
        "switch_locked": lambda found: median(one.stall_seconds for one in found.switches),
        "round": lambda found: found.seconds,
    }
    return {name: partial(rounds.view, of) for name, of in views.items()}


def _ratios(rounds: "_Rounds") -> list[Ratio]:
    return [
        Ratio("stall_p99_over_save_p50", quotient("stall_p99", "save"), STALL),
        # Of all rounds together: one lost save in one of them is one too many.
        Ratio("lost_writes", lambda _: float(rounds.lost), LOST),
        Ratio("rate_kept", lambda found: rounds.rate(found["round"].seconds) / SAVES_PER_SECOND, RATE),
    ]


@dataclass(frozen=True)
class _Measured:
    """A round: seconds it took; of its saves those that met no switch, and those that did; its switches."""

    seconds: float
    ordinary: Times
    stalls: Times
    switches: list[HandedOver]


@dataclass
class _Rounds:
    """Measures a round when the first case asks for it and keeps it until the next."""

    stream: Stream
    writers: Followers
    lost: int = 0
    _found: "_Measured | None" = None
    _saves_of: dict[float, int] = field(default_factory=dict)

    def view(self, of: Callable[[_Measured], float]) -> Sample:
        """One number of the round under way."""
        if self._found is None:
            self._found = self._measure()
        return Sample(of(self._found))

    def next(self) -> None:
        """The round is over."""
        self._found = None

    def rate(self, seconds: float) -> float:
        """Saves per second of the round that took so long."""
        return self._saves_of[seconds] / seconds

    def _measure(self) -> _Measured:
        began = time.monotonic()
        self.writers.start(switch.authority(self.stream).store)
        switches = [self._switch() for _ in range(SWITCHES)]
        threading.Event().wait(BETWEEN_SECONDS)
        written = self.writers.stop()
        seconds = time.monotonic() - began
        self.lost += _lost(self.stream, written)
        saves = [save for one in written for save in one.saves]
        self._saves_of[seconds] = len(saves)
        ordinary, stalls = (times(some) for some in split(saves, [window for window, _ in switches]))
        if ordinary is None or stalls is None:
            raise BenchError(f"of {len(saves)} saves all or none met a switch; nothing to compare")
        return _Measured(seconds, ordinary, stalls, [one for _, one in switches])

    def _switch(self) -> tuple[Window, HandedOver]:
        here = switch.authority(self.stream).store
        _wait_until_it_keeps_up(self.stream, here)
        threading.Event().wait(BETWEEN_SECONDS)
        said: list[float] = []
        done = hand_over(self.stream, here.peer, ACTOR, progress=lambda _: said.append(time.monotonic()))
        # First it says that it catches up, which no writer feels; then that it asks for the lock.
        return (said[1], time.monotonic()), done


@contextmanager
def _relay() -> Iterator[None]:
    """A relay as in production: a process of its own."""
    relay = subprocess.Popen(
        [sys.executable, "manage.py", "relay"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "LOG_LEVEL": "WARNING"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        relay.terminate()
        try:
            relay.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            relay.kill()
            relay.wait()


def _wait_until_it_keeps_up(stream: Stream, here: Store, at_most: int = KEEPING_UP) -> None:
    """Until the relay works in this direction and little waits; raises BenchError when it does not come to that."""
    pause, until = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while outbox.pending(stream, here).count > at_most:
        if time.monotonic() > until:
            raise BenchError(f"the relay does not keep up: more than {at_most} keys wait in the {here} store")
        pause.wait(0.02)


def _lost(stream: Stream, written: Sequence[Written]) -> int:
    """Keys whose last acknowledged weight one of the stores does not have."""
    _wait_until_it_keeps_up(stream, switch.authority(stream).store, at_most=0)
    expected = {key: weight for one in written for key, weight in one.acknowledged.items()}
    stores = [_weights(stream, store) for store in Store]
    return sum(any(held.get(key) != weight for held in stores) for key, weight in expected.items())


def _weights(stream: Stream, store: Store) -> Mapping[Key, Decimal]:
    side = stream.side(store)
    query = sql.SQL("SELECT {}, {}, {} FROM {} AS t WHERE {}").format(
        *(projection.expression(side.reads[name]) for name in ("instrument_key", "index_id", "weight")),
        projection.table(side),
        projection.is_record(side),
    )
    with dedicated(store, "benchmark") as session:
        return {(str(key), str(index)): weight for key, index, weight in session.execute(query)}
