"""All policies in turn, as the schedule does: what is approved is carried out, the rest is planned and asked for."""

from dataclasses import dataclass

import psycopg
from django.db import Error as DatabaseError

from dualwrite.exceptions import DualWriteError, first_line, may_pass
from dualwrite.models import RetentionBackup, RetentionPolicy, RetentionRun
from dualwrite.parameters import RETENTION_ENABLED
from dualwrite.retention import vault
from dualwrite.retention.approval import is_approved
from dualwrite.retention.expiry import expire
from dualwrite.retention.policy import in_force
from dualwrite.retention.run import Order, run
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor

EXPIRY = "expiry of backups"
FAULTS = (DualWriteError, DatabaseError, psycopg.Error)


@dataclass(frozen=True)
class Swept:
    """A policy: its run, and what is to be said; no run where it did not end, which another one may (`may_pass`)."""

    policy: str
    run: RetentionRun | None
    sentence: str
    may_pass: bool = False


def sweep(actor: Actor) -> tuple[list[Swept], list[RetentionBackup]]:
    """Every enabled policy, each for itself, then the expiry of backups; nothing where RETENTION_ENABLED is false.

    What kept backups from being removed is told as that of a policy is. Raises StoreUnreachable.
    """
    if not RETENTION_ENABLED.value():
        return [], []
    with reaching(Store.REGISTRY):
        rows = list(RetentionPolicy.objects.filter(enabled=True))
    swept = [_one(row, actor) for row in rows]
    try:
        return swept, expire(actor, vault.configured())
    except FAULTS as exc:  # what the policies did is told all the same
        return [*swept, Swept(EXPIRY, None, first_line(exc), may_pass(exc))], []


def _one(row: RetentionPolicy, actor: Actor) -> Swept:
    try:
        approved = is_approved(row, in_force(row))
        made = run(row.name, Order(actor, execute=approved, unattended=True))
    except FAULTS as exc:  # one policy's trouble is no other's
        return Swept(row.name, None, first_line(exc), may_pass(exc))
    return Swept(row.name, made, made.error if approved else WAITS.format(name=row.name))


WAITS = "it waits for an approval: manage.py run_retention --approve --policy {name} --reason WHY"
