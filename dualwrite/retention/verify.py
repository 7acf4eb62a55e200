"""A backup read again from where it is stored, and a sample of it restored: only then may its rows go."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import IO

from psycopg import errors

from dualwrite.exceptions import first_line
from dualwrite.failpoints import reach
from dualwrite.parameters import BACKUP_TRIED_ROWS
from dualwrite.retention import part as parts
from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.manifest import Manifest, Stored
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.rows import Batch, Rows
from dualwrite.retention.vault import Vault
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated


def verify(manifest: Manifest, vault: Vault, folder: str, rows: Rows, watch: Watch) -> None:
    """Hold every part against the manifest, and restore the first rows into a temporary table meanwhile.

    Raises BackupUnusable saying what is wrong, StorageFailed, StoreUnreachable, Cancelled by the watch.
    """
    watch.phase("verifying", manifest.rows)
    with ThreadPoolExecutor(vault.readers, thread_name_prefix="retention verify") as pool:
        trial = [pool.submit(_try, stored, vault, folder, rows, watch) for stored in manifest.parts[:1]]
        checks = [pool.submit(_check, stored, vault, folder, watch) for stored in manifest.parts]
        # How a file differs is told first: what cannot be restored from a damaged one says less.
        steps = [*checks, *trial]
        try:
            for step in steps:
                step.result()
        finally:
            # One that is damaged decides: the parts that nobody has begun to read need not be read.
            for step in steps:
                step.cancel()


def _check(stored: Stored, vault: Vault, folder: str, watch: Watch) -> None:
    with vault.read(f"{folder}/{stored.part.file}") as file:
        parts.check(file, stored.part, stored.batches)
    watch.advance(stored.part.rows)
    reach("retention part verified")


def _try(stored: Stored, vault: Vault, folder: str, rows: Rows, watch: Watch) -> None:
    """Restore as many whole batches as are to be tried."""
    tried: list[Batch] = []
    for batch in stored.batches:
        if sum(b.rows for b in tried) < BACKUP_TRIED_ROWS.value():
            tried.append(batch)
    size = sum(batch.text_bytes for batch in tried)
    with (
        dedicated(Store.REGISTRY, "retention trial", limits=LIMITS) as session,
        watch.session(session),
        vault.read(f"{folder}/{stored.part.file}") as file,
        session.transaction(force_rollback=True),
    ):
        receive(session, rows, taken(file, 0, size), stored.part.file)
        require_same(session, rows, tried, stored.part.file)


def require_same(session: Session, rows: Rows, batches: Sequence[Batch], what: str) -> None:
    """Raise BackupUnusable unless the temporary table of this transaction gives these batches back, byte for byte."""
    with session.cursor().copy(rows.compose("send_back")) as copy:
        lines = iter(copy)
        for batch in batches:
            sha256 = hashlib.sha256()
            for line in islice(lines, batch.rows):
                sha256.update(line)
            if sha256.hexdigest() != batch.sha256:
                raise BackupUnusable(f"{what}: what was restored from it is not what was exported")
        if next(lines, None) is not None:
            raise BackupUnusable(f"{what}: more was restored from it than was exported")


def receive(session: Session, rows: Rows, text: Iterator[bytes], what: str) -> None:
    """Make a temporary table of this transaction with these rows; raises BackupUnusable where they cannot be read."""
    session.execute(rows.compose("receive"))
    load(session, rows, text, what)


def load(session: Session, rows: Rows, text: Iterator[bytes], what: str) -> None:
    """Add these rows to it; raises as `receive`."""
    try:
        with session.cursor().copy(rows.compose("load")) as copy:
            for piece in text:
                copy.write(piece)
    except errors.DataError as exc:
        raise BackupUnusable(f"{what}: {first_line(exc)}") from exc


def batch_of(file: IO[bytes], before: int, batch: Batch, what: str) -> Iterator[bytes]:
    """The lines of a batch, in pieces; raises BackupUnusable where they are not what was exported."""
    sha256 = hashlib.sha256()
    for piece in taken(file, before, batch.text_bytes):
        sha256.update(piece)
        yield piece
    if sha256.hexdigest() != batch.sha256:
        raise BackupUnusable(f"{what}: the rows {batch.first} to {batch.last} are not what was exported")


def taken(file: IO[bytes], before: int, size: int) -> Iterator[bytes]:
    """The text of a part from `before` on, `size` bytes of it; raises BackupUnusable where it cannot be expanded."""
    for piece in parts.Expanding(file):
        if before < len(piece) and size:
            own = piece[before : before + size]
            size -= len(own)
            yield own
        before = max(before - len(piece), 0)
        if not size:
            return
