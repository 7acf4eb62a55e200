"""Backups that are past their period end: unless anything of their table is held, or a run is to go on from them."""

from django.utils import timezone

from dualwrite import switch
from dualwrite.models import BackupState, LegalHold, RetentionBackup, RetentionRun
from dualwrite.retention import states
from dualwrite.retention.vault import Vault
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor


def expire(actor: Actor, vault: Vault) -> list[RetentionBackup]:
    """Remove the backups that have expired; those removed. Raises StorageFailed, StoreUnreachable."""
    with reaching(Store.REGISTRY):
        past = RetentionBackup.objects.filter(expires_at__lt=timezone.now()).exclude(state=BackupState.EXPIRED)
        due = [row for row in past.order_by("id") if not _is_needed(row)]
    for row in due:
        # First the files: broken off between the two, the next one removes nothing and marks it.
        vault.remove(row.location)
        with reaching(Store.REGISTRY):
            RetentionBackup.objects.filter(pk=row.pk).update(state=BackupState.EXPIRED)
        evidence = {"backup": row.pk, "location": row.location, "rows": row.rows}
        switch.audit(Store.REGISTRY, actor, "expire backup", None, evidence)
    return due


def _is_needed(row: RetentionBackup) -> bool:
    held = LegalHold.objects.filter(table=row.table, released_at=None)
    to_go_on = RetentionRun.objects.filter(backup=row, state__in=states.TO_CONTINUE)
    return held.exists() or to_go_on.exists()
