"""Backups as restore and drill find them: the one of a run, its manifest, its rows in a temporary table."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dualwrite import runs
from dualwrite.exceptions import UsageError
from dualwrite.models import BackupState, RetentionBackup, RetentionRun
from dualwrite.retention import manifest
from dualwrite.retention import part as parts
from dualwrite.retention.manifest import Manifest, Stored
from dualwrite.retention.policy import of_backup
from dualwrite.retention.rows import Rows
from dualwrite.retention.schema import Table
from dualwrite.retention.vault import Vault
from dualwrite.retention.verify import load
from dualwrite.stages import Store
from dualwrite.stores import Session, reaching


@dataclass(frozen=True)
class Backup:
    """A backup that is there: its row, what its manifest says, the statements over its rows."""

    row: RetentionBackup
    manifest: Manifest
    rows: Rows
    vault: Vault

    def read(self, stored: Stored) -> Iterator[bytes]:
        """The text of a part, having held all of it against the manifest; raises BackupUnusable, StorageFailed."""
        name = f"{self.row.location}/{stored.part.file}"
        with self.vault.read(name) as file:
            parts.check(file, stored.part, stored.batches)
        with self.vault.read(name) as file:
            yield from parts.Expanding(file)

    def load(self, session: Session, stored: Stored) -> None:
        """Add the rows of a part to the temporary table; raises as `read`."""
        load(session, self.rows, self.read(stored), stored.part.file)


def of_run(number: int) -> RetentionBackup:
    """The backup of that retention run; raises UsageError where there is none that could be restored."""
    run = runs.run_numbered(RetentionRun, number)
    with reaching(Store.REGISTRY):
        row = run.backup
    if row is None:
        raise UsageError(f"retention run {number} has no backup")
    if row.state == BackupState.EXPIRED:
        raise UsageError(f"the backup of retention run {number} expired on {row.expires_at:%Y-%m-%d} and was removed")
    return row


def opened(row: RetentionBackup, vault: Vault) -> Backup:
    """The backup of a row; raises BackupUnusable, StorageFailed, UnknownName where its table is no longer declared."""
    found = manifest.load(vault, row.location, row.manifest_sha256)
    # Its own columns, not those that the table has now.
    table = Table(dict(found.columns), found.key, ())
    policy = of_backup(found.name, {**found.policy, "table": row.table})
    return Backup(row, found, Rows(policy, table, datetime.fromisoformat(found.cutoff)), vault)
