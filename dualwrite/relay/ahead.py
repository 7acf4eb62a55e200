"""Reading one batch ahead: while the mirror applies a batch, the authority's records of the next one are read.

Only when a batch was full, so that there is more; a single write goes its way without a thread. Two readers take turns
on one session. A thread of its own does, in this order: delete the notes of the batch before, take and read the next.

How it can fail, and the answer:

* a batch is read and then lies about, while others apply newer records → their fence refuses it (`applier`); when the
  fences are taken anew, the stream is paused or partitions change hands, it is dropped (`drop`);
* notes of the batch in hand are taken again → the spans of its notes are left out;
* a note with a number in such a span commits later → only one batch leaves it out, the next one finds it;
* notes are deleted of what was not applied → a batch's notes are deleted by its own reader, after it was applied;
* records are large → what exceeds a limit is not kept, and is read when it is applied;
* the session ends, or the thread fails → the next question raises what it raised.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from dualwrite.relay.parking import Seen
from dualwrite.relay.reader import Reader, Taken

#: Of records kept for a batch; more are read again when it is applied.
MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Wanted:
    """What a batch is to be: of these lanes, so many keys, from above this note. `parked`: read before its records."""

    lanes: Sequence[int]
    size: int
    above: int
    parked: dict[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """A batch in its reader; its records when they were read ahead; what was parked before they were read."""

    reader: Reader
    taken: Taken
    blocks: list[bytes] | None
    wanted: Wanted

    @property
    def full(self) -> bool:
        """Whether there is probably more."""
        return self.taken.notes >= self.wanted.size


class Ahead:
    """The batches of one pipe, in their order."""

    def __init__(self, make_reader: Callable[[str], Reader]) -> None:
        self._make = make_reader
        self._readers = [make_reader("batch")]
        self._pool: ThreadPoolExecutor | None = None
        self._next: Future[Batch] | None = None
        self._last: Future[None] | None = None

    @property
    def reader(self) -> Reader:
        """The one that is used when nothing is read ahead."""
        return self._readers[0]

    def take(self, wanted: Callable[[], Wanted]) -> Batch:
        """The batch that was begun, or one taken now."""
        if self._next is not None:
            begun, self._next = self._next, None
            batch = begun.result()
            if batch.taken.notes:
                return batch
        self._deleted()
        asked = wanted()
        return Batch(self.reader, self.reader.take(asked.lanes, asked.size, above=asked.above), None, asked)

    def begin(self, batch: Batch, wanted: Wanted) -> None:
        """Read the one after this batch, while it is applied."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="relay ahead")
            self._readers.append(self._make("ahead"))
        other = next(reader for reader in self._readers if reader is not batch.reader)
        self._next = self._pool.submit(_read, other, batch, wanted)

    def done(self, batch: Batch, counted: tuple[int, int] | None) -> None:
        """Delete the notes of a batch that was applied: at once, or behind the reading that goes on."""
        self._deleted()
        if self._next is None or self._pool is None:
            batch.reader.done(counted)
        else:
            self._last = self._pool.submit(batch.reader.done, counted)

    def drop(self) -> None:
        """Forget what was read ahead; its notes stay."""
        self._deleted()
        if self._next is not None:
            begun, self._next = self._next, None
            begun.result().reader.forget()

    def close(self) -> None:
        """Return when the thread has ended, and has deleted what it was told to delete, if it could."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _deleted(self) -> None:
        if self._last is not None:
            last, self._last = self._last, None
            last.result()


def _read(reader: Reader, before: Batch, wanted: Wanted) -> Batch:
    taken = reader.take(wanted.lanes, wanted.size, above=wanted.above, beside=before.reader.spans())
    if not taken.keys:
        return Batch(reader, taken, [], wanted)
    blocks, size = list[bytes](), 0
    with reader.read(1, taken.keys) as copy:
        for block in copy:
            size += len(block)
            if size <= MOST_BYTES:
                blocks.append(bytes(block))
    return Batch(reader, taken, blocks if size <= MOST_BYTES else None, wanted)
