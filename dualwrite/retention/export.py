"""One moment's rows go to parts, batch by batch, in the order of their keys."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from dualwrite.failpoints import reach
from dualwrite.parameters import BACKUP_PART_ROWS
from dualwrite.retention.manifest import Moment, Stored
from dualwrite.retention.part import PartWriter, value_of
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


def export(source: Source, vault: Vault, folder: str, watch: Watch) -> tuple[Moment, list[Stored]]:
    """Store the rows as parts in the folder; raises StorageFailed, StoreUnreachable, Cancelled by the watch."""
    watch.phase("exporting", source.planned)
    with dedicated(Store.REGISTRY, "retention export", limits=LIMITS) as session, watch.session(session):
        session.execute(statement("retention", "begin_reading"))
        found = session.execute(statement("retention", "moment")).fetchone()
        assert found is not None  # noqa: S101  it has no FROM
        stored = list(_parts(session, source, vault, folder, watch))
        session.rollback()
    return Moment(*found), stored


def batches(source: Source, watch: Watch) -> list[Batch]:
    """The batches alone, where no backup is made."""
    watch.phase("finding the batches", source.planned)
    rows, size = source.rows, source.rows.policy.batch_size
    with dedicated(Store.REGISTRY, "retention batches", limits=LIMITS) as session, watch.session(session):
        found = session.execute(rows.compose("batches", source.holds), rows.values(source.holds, batch_size=size))
        return [Batch(first, last, count) for first, last, count in found]


def _parts(session: Session, source: Source, vault: Vault, folder: str, watch: Watch) -> Iterator[Stored]:
    rows, size = source.rows, source.rows.policy.batch_size
    most = max(1, BACKUP_PART_ROWS.value() // size)
    with session.cursor().copy(rows.compose("export", source.holds), rows.values(source.holds)) as copy:
        lines = iter(copy)
        for number, first in enumerate(lines, 1):
            name = f"part-{number:05d}.zst"
            with vault.new(f"{folder}/{name}") as file:
                stored = _fill(PartWriter(file, name), chain([first], lines), rows, most, watch)
                reach("retention part written")
            reach("retention part stored")
            yield stored


def _fill(
    writer: PartWriter, lines: Iterator[bytes | bytearray | memoryview], rows: Rows, most: int, watch: Watch
) -> Stored:
    """A part of so many batches at most, of the next lines."""
    key = list(rows.table.types).index(rows.table.key)
    done: list[Batch] = []
    while len(done) < most and (batch := _batch(writer, lines, rows.policy.batch_size, key, watch)):
        done.append(batch)
    return Stored(writer.close(), tuple(done))


def _batch(
    writer: PartWriter, lines: Iterator[bytes | bytearray | memoryview], size: int, key: int, watch: Watch
) -> Batch | None:
    """The next batch, written; None where no row is left."""
    count, size_of_text, sha256, first, last = 0, 0, hashlib.sha256(), b"", b""
    while count < size and (gathered := _gathered(lines, min(GATHERED, size - count))):
        first, last = first or gathered[0], gathered[-1]
        text = b"".join(gathered)
        sha256.update(text)
        writer.add(text, len(gathered))
        watch.advance(len(gathered))
        count, size_of_text = count + len(gathered), size_of_text + len(text)
    if not count:
        return None
    return Batch(value_of(first, key), value_of(last, key), count, size_of_text, sha256.hexdigest())


def _gathered(lines: Iterator[bytes | bytearray | memoryview], most: int) -> list[bytes]:
    """So many lines at most. The server sends each row by itself."""
    return [bytes(line) for line in islice(lines, most)]
