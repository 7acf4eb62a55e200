"""A backup comes about: exported, its manifest stored, all of it read back. Until then nothing is one."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from django.db import connections, transaction
from django.utils import timezone

from dualwrite.failpoints import reach
from dualwrite.models import RetentionBackup, RetentionState
from dualwrite.parameters import BACKUP_KEPT_DAYS
from dualwrite.retention import manifest, states
from dualwrite.retention.case import Case, require_no_more
from dualwrite.retention.exceptions import StorageFailed
from dualwrite.retention.export import Source, export
from dualwrite.retention.manifest import Manifest, Moment, Stored
from dualwrite.retention.planner import Plan
from dualwrite.retention.verify import verify
from dualwrite.stages import Store
from dualwrite.stores import reaching


def back_up(case: Case, plan: Plan, source: Source) -> Manifest:
    """Export, store, read back. Until then nothing is a backup, and nothing goes."""
    folder = f"{case.policy.subject.name}/{timezone.now():%Y%m%dT%H%M%S}-run-{case.run.pk}"
    states.to(case.run, RetentionState.EXPORTING, location=folder)
    try:
        moment, parts = export(source, case.vault, folder, case.watch)
        require_no_more(case, plan, sum(stored.part.rows for stored in parts))
        reach("retention exported")
        found = _manifest(case, plan, moment, parts)
        sha256 = manifest.store(case.vault, folder, found)
    except BaseException:
        _discard(case, folder)
        raise
    reach("retention manifest stored")
    # What is read is what is stored, the manifest as well.
    found = manifest.load(case.vault, folder, sha256)
    verify(found, case.vault, folder, source.rows, case.watch)
    reach("retention verified")
    _keep(case, found, folder, sha256)
    return found


def _discard(case: Case, folder: str) -> None:
    """What is half stored only takes room, which may be what was missing."""
    with suppress(StorageFailed):  # the next run tries again; what broke the export matters more
        case.vault.remove(folder)


def _manifest(case: Case, plan: Plan, moment: Moment, parts: Sequence[Stored]) -> Manifest:
    subject = case.policy.subject
    with reaching(Store.REGISTRY):
        info = connections[Store.REGISTRY.alias]
        info.ensure_connection()
        server = {"version": str(info.connection.info.server_version), "encoding": "UTF8"}
        # Of its table: runs of others may be under way.
        before = RetentionBackup.objects.filter(table=subject.name).order_by("-id")
        previous = before.values_list("manifest_sha256", flat=True).first()
    return Manifest(
        run=case.run.pk,
        name=case.policy.name,
        policy=case.policy.as_data(),
        policy_hash=case.policy.hash,
        schema_hash=plan.table.hash,
        schema=subject.schema,
        table=subject.table,
        key=plan.table.key,
        columns=plan.table.types,
        cutoff=plan.cutoff.isoformat(),
        made_at=timezone.now().isoformat(),
        server=server,
        previous=previous or "",
        moment=moment,
        parts=tuple(parts),
    )


def _keep(case: Case, found: Manifest, folder: str, sha256: str) -> None:
    """From now on it is a backup: its row and the run's state in one transaction."""
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        backup = RetentionBackup.objects.create(
            policy=case.policy.name,
            table=case.policy.subject.name,
            location=folder,
            manifest_sha256=sha256,
            rows=found.rows,
            bytes=found.size,
            expires_at=timezone.now() + timedelta(days=BACKUP_KEPT_DAYS.value()),
        )
        states.to(case.run, RetentionState.VERIFIED, backup=backup)
