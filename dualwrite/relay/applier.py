"""The mirror's side of the relay: one transaction that checks the right to write and makes the mirror equal."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import Pipeline, sql

from dualwrite import projection
from dualwrite.exceptions import Overtaken, Superseded
from dualwrite.failpoints import reach
from dualwrite.parameters import DELETED_ROWS_KEPT_DAYS
from dualwrite.relay import at_once, parking
from dualwrite.relay.fences import acquired
from dualwrite.relay.merging import merge
from dualwrite.relay.parking import Failure
from dualwrite.relay.readback import ReadBack
from dualwrite.relay.room import Room
from dualwrite.said import said
from dualwrite.sql import compose, statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream

log = logging.getLogger(__name__)

#: Given the number of rows a batch would delete and the mirror's rows, returns or raises Held.
Brake = Callable[[int, Callable[[], int]], None]
#: Records of a batch, as the authority sent them.
Blocks = Iterable[bytes | bytearray | memoryview]
#: Begins to read them.
Read = Callable[[], AbstractContextManager[Blocks]]

#: Looks at few records: the newest of their notes, and they.
ReadFew = Callable[[], tuple[int, Sequence[at_once.Row]]]

#: How fences are taken that a writer takes for one batch (sql/relay.sql).
INLINE = "inline/"

#: More keys than this that no validation has looked at are dropped; it looks at everything then.
MOST_TOUCHED = 5_000_000
TOUCHED_CHECK_BATCHES = 500
#: Deleted rows that are given up at a time.
MOST_PRUNED = 10_000
#: Of records handed to the server at a time.
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Applied:
    """What one transaction did: keys taken over, rows changed, and the keys to be parked, with the reason."""

    keys: int
    changed: int
    set_aside: Mapping[str, Failure]


class Applier:
    """Applies records under the fences it holds, as long as keys fall into that `number` of partitions."""

    def __init__(self, stream: Stream, store: Store, session: Session, number: int) -> None:
        self._stream, self._store, self._session, self._number = stream, store, session, number
        self._epochs: dict[int, int] = {}
        self._holder = ""
        self._batches = 0
        #: The partition in which what was applied is counted, and the count; None before the first batch.
        self.counted: tuple[int, int] | None = None
        self._side = stream.side(store)
        self._staged = sql.Identifier("pg_temp", f"staged_{stream.name}")
        session.execute(
            compose(
                "relay",
                "staged_table",
                staged=self._staged,
                key_definitions=projection.definitions(stream.key),
                definitions=projection.definitions(stream.fields),
            )
        )
        # As bytes: to put a statement together takes longer than to run it.
        self._merge_sql = partial(merge, stream, store)
        self._merge = self._merge_sql(self._staged).as_bytes(session)
        self._read_back = ReadBack(stream, store, session, self._staged)
        self._at_once = at_once.AtOnce(stream, store, session, self._merge_sql)
        self._applied = compose("relay", "applied", staged=self._staged).as_bytes(session)

    def hold(self, epochs: Mapping[int, int], holder: str) -> None:
        """Hold these fences as well: partition → epoch. `holder`: under which name they were taken."""
        self._epochs.update(epochs)
        self._holder = holder

    def let_go(self, partitions: Sequence[int]) -> None:
        """Hold the fences of these no longer: another relay is to have them."""
        self._epochs = {p: epoch for p, epoch in self._epochs.items() if p not in partitions}

    def apply(self, blocks: Blocks, brake: Brake, newest_note: int) -> Applied:
        """Make the mirror equal to the records; all or nothing. `newest_note` of the batch, to be remembered.

        Raises Superseded when another relay has the fence or the store is no mirror, Overtaken when only writers that
        mirror what they wrote have taken it, whatever `brake` raises, and the driver's DataError or IntegrityError when
        a record cannot be stored.
        """
        with self._session.transaction():
            # Sent before the fences are locked, so that whoever waits for those waits for the MERGE alone. What was
            # read under a fence of mine is good as long as nobody has taken it, and that is looked at now.
            keys = self._stage(blocks)
            self._check_right()
            reach("relay may apply")
            applied, counted = self._make_equal(keys, brake, newest_note)
        # Only now: what the authority is to remember must have been committed.
        self.counted = counted
        return applied

    def apply_anew(
        self, read: Read, brake: Brake, newest_note: int, *, partitions: Sequence[int] = (), together: bool = False
    ) -> Applied:
        """The same with the fences taken anew, and locked before anything is read: so nobody comes in between.

        `partitions`: those of given keys, taken for this once, whoever holds them; else the partitions held. With
        `together` rows that block each other make room. Raises as `apply`, StillBlocked where they cannot, and the
        driver's LockNotAvailable.
        """
        taken, before = "overtake" if partitions else "acquire", self._epochs
        with self._session.transaction():
            epoch = self._lock_role()
            values = {"stream": self._stream.name, "partitions": list(partitions or before), "holder": self._holder}
            self._epochs = acquired(self._session.execute(statement("relay", taken), values).fetchall(), values)
            try:
                self._mark(epoch)
                with read() as blocks:
                    reach("relay may apply anew")
                    keys = self._stage(blocks)
                applied, counted = self._make_equal(keys, brake, newest_note, together=together)
            except BaseException:
                # They go back to whom they belonged to.
                self._epochs = before
                raise
        if partitions:
            # Of those that are mine I have the newest epoch, unless a writer came before me: then mine is to look old.
            mine = {p: e for p, e in self._epochs.items() if before.get(p) == e - 1}
            self._epochs = {**before, **mine}
        self.counted = counted
        return applied

    def apply_at_once(self, ask: Callable[[], ReadFew], partitions: Sequence[int]) -> Applied:
        """As `apply_anew` for a few records, in as few messages as can be.

        `ask`: asks what is to be known with the fences; what it returns reads the records once those are held. Raises
        MoreNeeded where they need more of a look (an absent one is for the brake to judge; of several with one key
        nobody knows which counts) or cannot travel so, whatever `ask` and reading raise, and as `apply_anew`.
        """
        before = self._epochs
        try:
            with self._at_once.transaction() as pipeline:
                newest_note, records = self._overtake(pipeline, partitions, ask)()
                partition = min(self._epochs)
                sent = self._at_once.send(records, partition, newest_note)
                self._drop_old()
        finally:
            self._epochs = before
        changed, applied, otherwise = sent.answers()
        self.counted = (partition, applied)
        return Applied(len(records), changed, otherwise)

    def _overtake(self, pipeline: Pipeline, partitions: Sequence[int], ask: Callable[[], ReadFew]) -> ReadFew:
        wanted = {"stream": self._stream.name, "partitions": list(partitions), "number": self._number}
        taking = self._session.execute(statement("relay", "overtake_as_mirror"), wanted, prepare=True)
        read = ask()
        # To fetch would do, too, but the server takes a session without a sync for busy, and then no limit ends the
        # wait for a process that stands still with the fences locked.
        pipeline.sync()
        rows = taking.fetchall()
        self._check_role(rows[0][:2] if rows else None)
        self._epochs = acquired([row[3:] for row in rows if row[3] is not None], wanted)
        return read

    def _make_equal(
        self, keys: int, brake: Brake, newest_note: int, *, together: bool = False
    ) -> tuple[Applied, tuple[int, int] | None]:
        duplicates, rows = self._take_out_duplicates(keys)
        keys -= rows
        deletes = self._count("would_delete", match=self._match, is_record=projection.is_record(self._side))
        if deletes:
            brake(deletes, self._mirror_rows)
            self._keep_deleted(keys)
        changed = self._together(keys) if together else self._session.execute(self._merge, prepare=True).rowcount
        otherwise = self._read_back.kept_otherwise(keys) if changed else {}
        counted = self._count_applied(keys, newest_note)
        self._drop_old()
        return Applied(keys, changed, {**dict.fromkeys(duplicates, parking.DUPLICATE_KEY), **otherwise}), counted

    def _keep_deleted(self, keys: int) -> None:
        """Keep the rows that are about to be deleted; one that cannot be kept is no reason not to delete it."""
        if not DELETED_ROWS_KEPT_DAYS.value():
            return
        query = compose(
            "deleted",
            "keep",
            stream=sql.Literal(self._stream.name),
            staged=self._staged,
            table=projection.table(self._side),
            match=self._match,
            is_record=projection.is_record(self._side),
        )
        try:
            with self._session.transaction():
                self._session.execute(query, prepare=True)
        except parking.POISON as exc:
            # A column of the type json may hold what jsonb does not take. Halves are tried, so the others are kept.
            if keys > 1:
                raise
            log.warning("stream %s: a deleted row is not kept: %s", self._stream.name, said(exc))

    def _together(self, keys: int) -> int:
        def merge(staged: sql.Composable) -> int:
            return self._session.execute(self._merge_sql(staged)).rowcount

        return Room(self._stream, self._store, self._session, self._staged, merge).apply(keys)

    def _count_applied(self, keys: int, newest_note: int) -> tuple[int, int] | None:
        partition = min(self._epochs)
        values = {"keys": keys, "stream": self._stream.name, "partition": partition, "noted": newest_note}
        row = self._session.execute(self._applied, values).fetchone()
        return (partition, int(row[0])) if row else None

    def _drop_old(self) -> None:
        """Where nobody validates, the keys kept for it must not grow for ever; nor what was deleted here."""
        self._batches += 1
        if (self._batches - 1) % TOUCHED_CHECK_BATCHES == 0:
            values = {"stream": self._stream.name, "most": MOST_TOUCHED}
            self._session.execute(statement("touched", "dropped"), values)
            days = DELETED_ROWS_KEPT_DAYS.value()
            values = {"stream": self._stream.name, "days": days, "most": MOST_PRUNED}
            self._session.execute(statement("deleted", "prune"), values)

    def _check_right(self) -> None:
        # The role first, then the fences: whoever changes them takes them in this order, too.
        epoch = self._lock_role()
        values = {"stream": self._stream.name, "partitions": list(self._epochs)}
        held = self._session.execute(statement("relay", "fences"), values).fetchall()
        if {int(partition): int(epoch) for partition, epoch in held} != self._epochs:
            refused = Overtaken if self.overtaken() else Superseded
            raise refused(f"stream {self._stream.name}: the fence was raised")
        self._mark(epoch)

    def _lock_role(self) -> int:
        """Lock the mirror's role; returns its epoch."""
        row = self._session.execute(statement("relay", "mirror_state"), {"stream": self._stream.name}).fetchone()
        self._check_role(row and (row[0], row[2]))
        return int(row[1]) if row else 0

    def _check_role(self, row: Sequence[Any] | None) -> None:
        """Raise Superseded unless that role and number of partitions are those of a mirror to be written."""
        if row is None or row[0] != Role.MIRROR:
            raise Superseded(f"stream {self._stream.name}: the {self._store} store is no mirror")
        if row[1] != self._number:
            # By another number a key has another partition, whose fence somebody else may hold.
            raise Superseded(f"stream {self._stream.name}: the number of its partitions was changed")

    def _mark(self, epoch: int) -> None:
        self._session.execute(statement("relay", "mark"), {"marker": f"{self._stream.name}:{epoch}"})

    def overtaken(self) -> bool:
        """Whether writers that mirror what they wrote, and nobody else, have taken fences of mine."""
        others = self._others()
        return bool(others) and all(holder == f"{INLINE}{self._holder}" for holder in others)

    def taken_over(self) -> bool:
        """Whether anybody has taken fences of mine."""
        return bool(self._others())

    def _others(self) -> list[str]:
        values = {"stream": self._stream.name, "partitions": list(self._epochs)}
        rows = self._session.execute(statement("relay", "holders"), values).fetchall()
        return [str(holder) for partition, epoch, holder in rows if epoch != self._epochs.get(partition)]

    def _stage(self, blocks: Blocks) -> int:
        query = compose(
            "relay",
            "stage",
            staged=self._staged,
            key_names=projection.names([part.name for part in self._stream.key]),
            field_names=projection.names([f.name for f in self._stream.fields]),
        )
        cursor = self._session.cursor()
        with cursor.copy(query) as copy:
            for chunk in _chunks(blocks):
                copy.write(chunk)
        return cursor.rowcount

    def _take_out_duplicates(self, staged: int) -> tuple[tuple[str, ...], int]:
        if staged < 2:
            return (), 0
        rows = self._session.execute(
            compose("relay", "take_out_duplicates", staged=self._staged), prepare=True
        ).fetchall()
        return tuple(sorted({str(row[0]) for row in rows})), len(rows)

    def _mirror_rows(self) -> int:
        return self._count("mirror_rows", table_name=projection.table_name(self._side))

    def _count(self, name: str, **fragments: sql.Composable) -> int:
        query = compose("relay", name, staged=self._staged, table=projection.table(self._side), **fragments)
        row = self._session.execute(query, prepare=True).fetchone()
        return int(row[0]) if row else 0

    @property
    def _match(self) -> sql.Composable:
        return projection.match(self._stream, self._store)


def _chunks(blocks: Blocks) -> Iterator[bytes]:
    """The blocks, one a row, in pieces that are worth sending."""
    chunk = bytearray()
    for block in blocks:
        chunk += block
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
