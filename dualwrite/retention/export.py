"""One moment's rows go to parts while another session takes the fingerprints of their batches, of the same moment."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from psycopg import sql

from dualwrite.failpoints import reach
from dualwrite.parameters import BACKUP_PART_ROWS
from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.manifest import Stored
from dualwrite.retention.part import Part, PartWriter
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.rows import Batch, Holds, Rows
from dualwrite.retention.vault import Vault
from dualwrite.runs import Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated

#: Rows that are handed on at a time: one by one, each would cost more in calls than in compressing.
GATHERED = 1_000


@dataclass(frozen=True)
class Source:
    """What is exported: the statements of the policy, what is held, how many rows were planned."""

    rows: Rows
    holds: Holds
    planned: int


def export(source: Source, vault: Vault, folder: str, watch: Watch) -> list[Stored]:
    """Store the rows as parts in the folder; raises StorageFailed, StoreUnreachable, Cancelled by the watch."""
    watch.phase("exporting", source.planned)
    with ExitStack() as stack:
        copying, hashing = _two_at_one_moment(stack, watch)
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        found: Future[list[Batch]] = pool.submit(_batches, hashing, source)
        try:
            parts = _parts(copying, source, vault, folder, watch)
        except BaseException:
            hashing.cancel_safe()
            raise
        return _joined(parts, found.result())


def batches(source: Source, watch: Watch) -> list[Batch]:
    """The batches alone, where no backup is made."""
    watch.phase("finding the batches", source.planned)
    with dedicated(Store.REGISTRY, "retention batches", limits=LIMITS) as session, watch.session(session):
        return _batches(session, source)


def _two_at_one_moment(stack: ExitStack, watch: Watch) -> tuple[Session, Session]:
    one, two = (
        stack.enter_context(dedicated(Store.REGISTRY, f"retention {what}", limits=LIMITS)) for what in ("rows", "hash")
    )
    for session in (one, two):
        stack.enter_context(watch.session(session))
        session.execute(statement("retention", "begin_reading"))
    row = one.execute(statement("retention", "export_snapshot")).fetchone()
    two.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(row[0] if row else "")))
    return one, two


def _batches(session: Session, source: Source) -> list[Batch]:
    rows, size = source.rows, source.rows.policy.batch_size
    found = session.execute(rows.compose("batches", source.holds), rows.values(source.holds, batch_size=size))
    return [Batch(first, last, count, digest) for first, last, count, digest in found]


def _parts(session: Session, source: Source, vault: Vault, folder: str, watch: Watch) -> list[Part]:
    rows, size = source.rows, source.rows.policy.batch_size
    part_rows = max(1, BACKUP_PART_ROWS.value() // size) * size
    done: list[Part] = []
    with session.cursor().copy(rows.compose("export", source.holds), rows.values(source.holds)) as copy:
        stream = _gathered(iter(copy), part_rows)
        for lines in stream:
            name = f"part-{len(done) + 1:05d}.zst"
            with vault.new(f"{folder}/{name}") as file:
                writer = PartWriter(file, name)
                writer.add(lines)
                watch.advance(len(lines))
                while writer.rows < part_rows and (more := next(stream, None)):
                    writer.add(more)
                    watch.advance(len(more))
                done.append(writer.close())
                reach("retention part written")
            reach("retention part stored")
    return done


def _gathered(rows: Iterator[bytes | bytearray | memoryview], part_rows: int) -> Iterator[list[bytes]]:
    """Rows in lists, none of which goes past the end of a part. The server sends each row by itself."""
    gathered: list[bytes] = []
    for number, row in enumerate(rows, 1):
        gathered.append(bytes(row))
        if len(gathered) == GATHERED or number % part_rows == 0:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def _joined(parts: list[Part], batches: list[Batch]) -> list[Stored]:
    """Each part with its batches: both are the same rows in the same order."""
    stored, rest = [], iter(batches)
    for part in parts:
        own: list[Batch] = []
        while sum(batch.rows for batch in own) < part.rows and (batch := next(rest, None)):
            own.append(batch)
        if sum(batch.rows for batch in own) != part.rows:
            raise BackupUnusable(f"{part.file} has {part.rows} rows, and their batches have others")
        stored.append(Stored(part, tuple(own)))
    if next(rest, None) is not None:
        raise BackupUnusable("rows that were counted were not exported")
    return stored
