"""Random histories: writes on both sides, relays, switches, enables and disables that die, sleep and wake late.

Everything that is drawn has the same shape at every step and does nothing where it does not apply, so that a history
can be replayed and shrunk; and no rule has a precondition: who is asleep may depend on how busy the machine is.
"""

from collections.abc import Callable
from contextlib import suppress

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dualwrite import switch
from dualwrite.control import transition
from dualwrite.control.disable import disable
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.control.partitions import repartition
from dualwrite.exceptions import DualWriteError
from dualwrite.relay.inline import open_inline
from dualwrite.relay.worker import Lane
from dualwrite.stages import Role, Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream, key_text
from tests.conftest import TESTER
from tests.stateful.sleepers import MOST_PLACES, Killed, Sleeper
from tests.stateful.transactions import OpenTransaction
from tests.stateful.world import World
from tests.writing import INDEX, WRITES

SYMBOLS = [*"ABCDEFGH"]
MOST_SLEEPERS = 4
STORES = st.sampled_from(list(Store))
BATCHES = 3
STEPS = st.integers(1, 14)


def relay(stream: Stream) -> None:
    """A relay that takes a few steps, its pauses left out."""
    lane = Lane(stream)
    try:
        for _ in range(BATCHES):
            lane.try_again_at = lane.check_at = 0.0
            lane.step()
    finally:
        lane.close()


def mirror(stream: Stream) -> None:
    """A writer that mirrors what it has just written; it goes on with what it opened, whatever happens meanwhile."""
    pipe = open_inline(stream, seconds=2)
    if pipe is not None:
        keys = [key_text([f"NSE:{symbol}", INDEX]) for symbol in SYMBOLS[:3]]
        # As the writing service takes it: the keys are noted, the relay does it then.
        with pipe, suppress(psycopg.Error):
            for _ in range(BATCHES):
                pipe.mirror(keys, parts(pipe.authority, keys))


def parts(store: Store, keys: list[str]) -> dict[str, int]:
    """As the write tells them."""
    with cursor(store) as found:
        found.execute("SELECT k, (hashtextextended(k, 0) & 63)::int FROM unnest(%s::text[]) AS k", [keys])
        return dict(found.fetchall())


WORK: dict[str, Callable[[Stream], object]] = {
    "relay": relay,
    "switch": lambda stream: hand_over(stream, switch.authority(stream).store.peer, TESTER),
    "settle": lambda stream: switch.settle(stream, TESTER),
    "repair": lambda stream: transition.settle_and_repair(stream, TESTER),
    "enable": lambda stream: enable(stream, TESTER),
    "disable": lambda stream: disable(stream, TESTER),
    "mirror": mirror,
    "partitions": lambda stream: repartition(stream, 2 if switch.authority(stream).partitions > 2 else 16, TESTER),
}

#: Where each of them can fall asleep.
PLACES = {
    "relay": (
        "relay opening",
        "relay fences taken",
        "relay gives partitions away",
        "relay taken",
        "relay read",
        "relay may apply",
        "relay applied",
    ),
    "mirror": ("inline taken", "relay may apply anew", "inline applied"),
    "partitions": ("relay read", "relay applied", "partitions drained", "partitions half-done"),
    "switch": (
        "relay read",
        "relay applied",
        "switch caught up",
        "switch locked",
        "switch fenced",
        "switch drained",
        "switch promoting",
        "switch promoted",
        "switch demoting",
        "switch demoted",
    ),
    "settle": ("settle promote", "settle burn", "settle demote", "settle revert"),
    "repair": ("settle promote", "settle burn", "settle demote", "settle revert"),
    "enable": (
        "enable begun",
        "enable captured",
        "enable followed",
        "backfill read",
        "backfill half noted",
        "enable noted",
    ),
    "disable": ("disable at rest",),
}
#: How anything may end that does not come through.
ENDINGS = (DualWriteError, Killed)
#: What makes up for losses, or wipes them out: left out of some histories.
RESTLESS = ("enable", "disable", "truncate")
SLEEPS = st.sampled_from([(work, place) for work, places in PLACES.items() for place in places])
WORKS = st.sampled_from(
    ["relay", "relay", "switch", "switch", "settle", "repair", "enable", "disable", "mirror", "partitions"]
)
KINDS = st.sampled_from([*sorted(set(WRITES) - {"truncate"}) * 2, "truncate"])
SOME = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=3, unique=True)


class History(RuleBasedStateMachine):
    """See the module."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[Sleeper] = []
        self.open: dict[str, OpenTransaction] = {}
        self.writes = 0

    @initialize(authority=STORES, calm=st.booleans())
    def begin(self, authority: Store, calm: bool) -> None:
        """Start with one of them as the authority; a calm history has no backfill that would mend what was lost."""
        self.world.begin(authority)
        self.calm = calm

    @rule(store=STORES, kind=KINDS, symbols=SOME)
    def write(self, store: Store, kind: str, symbols: list[str]) -> None:
        """Write to a store, whichever the authority is."""
        if self.calm and kind in RESTLESS:
            return
        self.world.write(store, WRITES[kind], symbols, self._sector())

    @rule(kind=KINDS, symbols=SOME)
    def write_rightly(self, kind: str, symbols: list[str]) -> None:
        """Write to the store that takes writes, if any."""
        if self.calm and kind in RESTLESS:
            return
        for store in Store:
            if self.world.role(store) is Role.AUTHORITY:
                self.world.write(store, WRITES[kind], symbols, self._sector())
                return

    @rule(
        astray=st.sampled_from([False, False, False, True]),
        isolation=st.sampled_from(["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]),
        symbol=st.sampled_from(["X", "Y"]),
        write=st.sampled_from([True, True, False]),
    )
    def open_transaction(self, astray: bool, isolation: str, symbol: str, write: bool) -> None:
        """Begin a transaction, perhaps in the wrong store; write in it, at once or when it is met open."""
        if symbol not in self.open:
            store = next((s for s in Store if (self.world.role(s) is Role.AUTHORITY) is not astray), Store.SCREENER)
            self.open[symbol] = OpenTransaction(store, isolation, symbol)
            if not write:
                return
        if not self.open[symbol].write(self.world, self._sector()):
            del self.open[symbol]

    @rule(symbol=st.sampled_from(["X", "Y"]), crash=st.booleans())
    def end_transaction(self, symbol: str, crash: bool) -> None:
        """Commit it, or let its process die."""
        if symbol in self.open:
            ending = self.open.pop(symbol)
            if crash:
                ending.session.close()
            else:
                ending.commit(self.world)

    @rule(sleep=SLEEPS, symbol=st.sampled_from(SYMBOLS))
    def start(self, sleep: tuple[str, str], symbol: str) -> None:
        """Let somebody begin something, with something to relay, and fall asleep on the way."""
        work, place = sleep
        if len(self.sleepers) == MOST_SLEEPERS or (self.calm and work in RESTLESS):
            return
        self.write_rightly("put", [symbol])
        self.sleepers.append(Sleeper(work, lambda: WORK[work](self.world.stream)))
        self._wake(self.sleepers[-1], until=place)

    @rule(work=WORKS, symbol=st.sampled_from(SYMBOLS))
    def do(self, work: str, symbol: str) -> None:
        """Let somebody do something without being disturbed."""
        if self.calm and work in RESTLESS:
            return
        self.write_rightly("put", [symbol])
        self._wake(Sleeper(work, lambda: WORK[work](self.world.stream)))

    @rule(number=st.integers(0, MOST_SLEEPERS - 1), places=st.one_of(STEPS, st.just(MOST_PLACES)))
    def wake(self, number: int, places: int) -> None:
        """Let a sleeper go on."""
        for sleeper in self._the(number):
            self._wake(sleeper, places)

    @rule(number=st.integers(0, MOST_SLEEPERS - 1))
    def kill(self, number: int) -> None:
        """Let a sleeper die."""
        for sleeper in self._the(number):
            sleeper.kill()
            self._ended(sleeper)

    @rule(number=st.integers(0, MOST_SLEEPERS - 1), only_locks=st.booleans())
    def sever(self, number: int, only_locks: bool) -> None:
        """Let the servers end the sessions of a sleeper, or those that hold writers up; it knows nothing of it."""
        for sleeper in self._the(number):
            for observer in self.world.sessions.values():
                sleeper.sever(observer, only_locks)

    @invariant()
    def one_authority(self) -> None:
        """At no moment two."""
        self.world.check()

    def teardown(self) -> None:
        """Wake everybody, end every transaction; then both stores are what was acknowledged."""
        try:
            for ending in self.open.values():
                ending.commit(self.world)
            for sleeper in list(self.sleepers):
                self._wake(sleeper)
            self.world.converge()
        finally:
            for sleeper in self.sleepers:
                sleeper.kill()
            for ending in self.open.values():
                ending.session.close()

    def _the(self, number: int) -> list[Sleeper]:
        return [self.sleepers[number % len(self.sleepers)]] if self.sleepers else []

    def _sector(self) -> str:
        self.writes += 1
        return f"v{self.writes}"

    def _wake(self, sleeper: Sleeper, places: int = MOST_PLACES, until: str = "") -> None:
        for _ in range(places):
            sleeper.wake()
            self.world.check()
            if sleeper.ended:
                self._ended(sleeper)
                return
            if sleeper.place == until:
                return
        assert places < MOST_PLACES, f"{sleeper} goes round in circles"

    def _ended(self, sleeper: Sleeper) -> None:
        if sleeper in self.sleepers:
            self.sleepers.remove(sleeper)
        if sleeper.error is not None and not isinstance(sleeper.error, ENDINGS):
            raise AssertionError(f"{sleeper.name} ended with an error of no family of ours") from sleeper.error
