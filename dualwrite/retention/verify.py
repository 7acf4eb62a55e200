"""A backup read again from where it is stored, and a sample of it restored: only then may its rows go."""

from collections.abc import Iterator
from itertools import islice
from typing import IO

from psycopg import errors

from dualwrite.failpoints import reach
from dualwrite.parameters import BACKUP_TRIED_ROWS
from dualwrite.retention import part as parts
from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.manifest import Manifest, Stored
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.rows import Rows
from dualwrite.retention.vault import Vault
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated


def verify(manifest: Manifest, vault: Vault, folder: str, rows: Rows, watch: Watch) -> None:
    """Hold every part against the manifest, and restore the first rows into a temporary table.

    Raises BackupUnusable saying what is wrong, StorageFailed, StoreUnreachable, Cancelled by the watch.
    """
    watch.phase("verifying", manifest.rows)
    for stored in manifest.parts:
        with vault.read(f"{folder}/{stored.part.file}") as file:
            parts.check(file, stored.part)
        watch.advance(stored.part.rows)
        reach("retention part verified")
    if manifest.parts:
        _try(manifest.parts[0], vault, folder, rows, watch)


def _try(stored: Stored, vault: Vault, folder: str, rows: Rows, watch: Watch) -> None:
    """Restore as many whole batches as are to be tried."""
    count, digest = 0, 0
    for batch in stored.batches:
        count, digest = count + batch.rows, digest + int(batch.digest)
        if count >= BACKUP_TRIED_ROWS.value():
            break
    with (
        dedicated(Store.REGISTRY, "retention trial", limits=LIMITS) as session,
        watch.session(session),
        vault.read(f"{folder}/{stored.part.file}") as file,
        session.transaction(force_rollback=True),
    ):
        require_same(session, rows, taken(file, 0, count), count, digest, stored.part.file)


def require_same(session: Session, rows: Rows, text: Iterator[bytes], count: int, digest: int, what: str) -> None:
    """Load the text into the temporary table of this transaction; raises BackupUnusable unless it is these rows."""
    receive(session, rows, text, what)
    found = session.execute(rows.compose("loaded"), rows.values()).fetchone()
    if found is None or (found[0], int(found[1] or 0)) != (count, digest):
        raise BackupUnusable(f"{what}: what was restored from it is not what was exported")


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
        raise BackupUnusable(f"{what}: {str(exc).splitlines()[0]}") from exc


def taken(file: IO[bytes], first: int, count: int) -> Iterator[bytes]:
    """Lines of a part: `count` of them after the `first` ones, in pieces."""
    for chunk in _chunked(islice(_split(file), first, first + count)):
        yield b"".join(chunk)


def _split(file: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in parts.lines(file):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)


def _chunked(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(lines, 1_000)):
        yield chunk
