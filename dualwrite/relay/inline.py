"""One batch of given keys, mirrored at once by whoever has just written them.

It is the relay's own batch in all but two things. The keys are given, so it need not wait for their notes' turn. And it
asks no other relay to give way: it takes the fences of its keys' partitions for the one transaction that applies them,
and reads the records while it holds them, so that nobody comes between reading and applying. A relay that has read
older records meanwhile is refused by the fence, sees whose doing it was, and reads again (`Overtaken`).

Notes are deleted as the relay deletes them, after the mirror has committed, by their ids; and after the writer was
told. What is not found or not reached stays for the relay.

A few records that are all there, which is nearly every write, go in three messages: take the fences and look whether
the stream stands still; take the notes and read; apply and commit. Whatever needs more of a look (an absent record,
which the brake is to judge; a key of several rows; a record that is refused) goes the relay's own way after that.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from psycopg import Cursor

from dualwrite import capture, outbox, switch
from dualwrite.exceptions import Held, Superseded
from dualwrite.failpoints import reach
from dualwrite.relay import brake, parking
from dualwrite.relay.applier import Applied, ReadFew
from dualwrite.relay.at_once import MoreNeeded, Row
from dualwrite.relay.parking import Failure, Seen
from dualwrite.relay.pipe import Pipe
from dualwrite.relay.reader import Taken
from dualwrite.relay.way import Way, way
from dualwrite.sql import statement
from dualwrite.stream import Stream

#: Of every session: no statement, lock or silence of a writer may keep the mirror's relay waiting for longer.
LIMITS = (
    "-c statement_timeout={ms}ms -c lock_timeout={ms}ms -c idle_in_transaction_session_timeout={silence}ms"
    " -c idle_session_timeout=5min"
)
#: The reader only deletes notes, and remembers what the mirror has. Should its server lose that, it is all done again.
#: Its isolation is for `take_and_read`, whatever the database's is.
READER = "-c synchronous_commit=off -c default_transaction_isolation=read\\ committed"
NOTHING_NOTED = "nothing is noted in the {store} store, as the stream is disabled"
#: Later than any note that an operator can have confirmed.
UNCONFIRMED = 2**63 - 1
#: So many records go to the mirror as one text; more are copied.
AT_ONCE = 50

#: What was parked before the records were read, and what is to be parked now.
Done = tuple[dict[str, Seen], dict[str, Failure]]


class Inline(Pipe):
    """A pipe that has no partitions of its own, for batches of given keys."""

    def __init__(self, stream: Stream, way: Way, stack: ExitStack, *, seconds: float) -> None:
        ms = max(int(seconds * 1000), 1)
        super().__init__(stream, way, stack, limits=LIMITS.format(ms=ms, silence=ms * 4), reader=READER)
        self._unfinished, self._keys = False, 0

    def _join(self, stack: ExitStack, *, counted: bool) -> None:
        """Nothing: no partition is kept."""

    def _balance(self) -> None:
        """Nothing either."""

    def _is_to_end(self) -> bool:
        """Never: the writer's patience is the limit of every statement."""
        return False

    def mirror(self, keys: Sequence[str], parts: Mapping[str, int] | None = None) -> dict[str, str]:
        """Make the mirror equal for these keys, now; returns those that are parked, with the error.

        `parts`: where it is known of each key, its partition by the authority's hash, were there 64. Raises Held when
        the stream stands still, Superseded, StoreUnreachable or the driver's error. The pipe is to be closed then.
        """
        self.finish()
        done = self._mirror_few(keys, parts) if parts and len(keys) <= AT_ONCE else None
        before, failed = done or self._mirror_any(keys)
        parking.settle(self.stream, self._reader, self._registry, failed, before)
        reach("inline applied")
        if failed:
            # A relay may have applied a newer record and deleted its note, before I parked it: it has to look again.
            outbox.note(self.stream, self.authority, list(failed), outbox.Cause.REDRIVE)
        self._unfinished = True
        return {key: failure.error for key, failure in failed.items()}

    def _mirror_few(self, keys: Sequence[str], parts: Mapping[str, int]) -> Done | None:
        """None where it takes more of a look; the mirror is as it was then."""
        partitions = sorted({part & (self.way.partitions - 1) for part in parts.values()})
        before: dict[str, Seen] = {}

        def ask() -> ReadFew:
            # In the message that takes the fences, where that is the same session.
            asked = self._ask(keys)
            return partial(self._read_few, keys, partitions, asked, before)

        try:
            applied = self._applier.apply_at_once(ask, partitions)
        except (MoreNeeded, *parking.POISON):
            self._reader.forget()
            return None
        return before, dict(applied.set_aside)

    def _read_few(
        self, keys: Sequence[str], partitions: Sequence[int], asked: Cursor[Any], before: dict[str, Seen]
    ) -> tuple[int, Sequence[Row]]:
        before.update(_parked(asked.fetchall()))
        taken, records = self._reader.take_and_read(keys, self.way.partitions)
        self._work_on(taken)
        if self._reader.keyless() or sorted(self._reader.partitions) != partitions:
            raise MoreNeeded
        return taken.newest_note, records

    def _mirror_any(self, keys: Sequence[str]) -> Done:
        """As the relay does it: in halves where a record is refused."""
        before = _parked(self._ask(keys).fetchall())
        self._work_on(self._reader.take_keys(keys, self.way.partitions))
        failed = dict.fromkeys(self._reader.keyless(), parking.NULL_KEY)
        try:
            self._apply(1, self._keys, failed)
            self._untie(failed)
        except Held as exc:
            brake.hold(self.stream, self._registry, exc.detail)
            raise
        return before, failed

    def _ask(self, keys: Sequence[str]) -> Cursor[Any]:
        """Ask whether the stream stands still, and which of the keys are parked."""
        values = {"stream": self.stream.name, "keys": list(keys)}
        return self._registry.execute(statement("relay", "control_of"), values, prepare=True)

    def _work_on(self, taken: Taken) -> None:
        if not taken.keys:
            if way(self.stream) != self.way:
                raise Superseded(f"stream {self.stream.name}: its authority or its partitions were changed")
            raise Held(NOTHING_NOTED.format(store=self.authority))
        reach("inline taken")
        self._newest, self._keys = taken.newest_note, taken.keys
        batch = brake.Batch(taken.oldest_note or UNCONFIRMED, caught_up=False)
        self._brake = partial(brake.brake, self.stream, self._registry, batch)

    def finish(self) -> None:
        """Delete the notes of what was mirrored last: whoever wrote it need not wait for that."""
        if self._unfinished:
            self._unfinished = False
            self._reader.done(self._applier.counted)

    def _make_equal(self, low: int, high: int) -> Applied:
        read = partial(self._reader.read, low, high)
        return self._applier.apply_anew(read, self._brake, self._newest, partitions=self._reader.partitions)


def _parked(rows: Sequence[tuple[Any, ...]]) -> dict[str, Seen]:
    paused, because = rows[0][:2] if rows else (False, "the stream was never enabled")
    if paused or because:
        raise Held("paused by an operator" if paused else str(because))
    return {str(row[2]): Seen(int(row[3]), int(row[4])) for row in rows if row[2] is not None}


def open_inline(stream: Stream, *, seconds: float) -> Inline | None:
    """The pipe in the direction in force, none of whose statements takes longer than that; None without a mirror.

    Raises AuthorityUnknown, StoreUnreachable, NotInstalled, CaptureBroken, WrongStore.
    """
    in_force = way(stream)
    if in_force is None:
        return None
    switch.require_pair()
    capture.require_trusted(stream, in_force.authority)
    with ExitStack() as stack:
        pipe = Inline(stream, in_force, stack, seconds=seconds)
        pipe.keep(stack.pop_all())
    return pipe
