"""Backups that are past their period end: unless anything of their table is held, or a run is to go on from them."""

from dualwrite import switch
from dualwrite.models import BackupState, LegalHold, RetentionBackup, RetentionRun
from dualwrite.parameters import CLOCK_SKEW_SECONDS
from dualwrite.retention import brakes, states
from dualwrite.retention.exceptions import Braked
from dualwrite.retention.planner import LIMITS, both_clocks
from dualwrite.retention.vault import Vault
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, failing
from dualwrite.switch import Actor


def expire(actor: Actor, vault: Vault) -> list[RetentionBackup]:
    """Remove the backups that have expired; those removed.

    Raises Braked where a clock is not to be trusted, StorageFailed, StoreUnreachable.
    """
    with failing(Store.REGISTRY), dedicated(Store.REGISTRY, "retention expiry", limits=LIMITS) as session:
        clocks = both_clocks(session)
        if why := brakes.apart(clocks, CLOCK_SKEW_SECONDS.value()):
            raise Braked(why)
        past = RetentionBackup.objects.filter(expires_at__lt=clocks.now).exclude(state=BackupState.EXPIRED)
        return [row for row in past.order_by("id") if _ended(session, row, actor, vault)]


def _ended(session: Session, row: RetentionBackup, actor: Actor, vault: Vault) -> bool:
    with session.transaction():
        # As in a batch: a hold of the table comes before this, or waits for it.
        session.execute(statement("retention", "begin_batch"), {"subject": row.table})
        if _is_needed(row):
            return False
        vault.require_there()
        # First the files: broken off between the two, the next one removes nothing and marks it.
        vault.remove(row.location)
        RetentionBackup.objects.filter(pk=row.pk).update(state=BackupState.EXPIRED)
    evidence = {"backup": row.pk, "location": row.location, "rows": row.rows}
    switch.audit(Store.REGISTRY, actor, "expire backup", None, evidence)
    return True


def _is_needed(row: RetentionBackup) -> bool:
    held = LegalHold.objects.filter(table=row.table, released_at=None)
    to_go_on = RetentionRun.objects.filter(backup=row, state__in=states.TO_CONTINUE)
    return held.exists() or to_go_on.exists()
