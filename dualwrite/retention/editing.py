"""A policy as operators write it: checked by what a run checks it by, kept with what it was before."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.db import transaction
from django.utils import timezone

from dualwrite import switch
from dualwrite.exceptions import Refused
from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.retention import conditions, schema
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.policy import Policy, in_force
from dualwrite.stages import Store
from dualwrite.stores import dedicated, reaching
from dualwrite.switch import Actor


def check(row: RetentionPolicy) -> Policy:
    """The policy of a row that is to be saved; raises InvalidPolicy with the field, UsageError, StoreUnreachable."""
    policy = in_force(row)
    policy.cutoff(timezone.now())
    with dedicated(Store.REGISTRY, "retention policy", limits=LIMITS) as session:
        table = schema.read(session, policy.subject)
        conditions.try_values(policy.conditions, table.types, session)
        with suppress(Refused):  # as of now; it may be prepared for later, and every run asks
            schema.require_possible(session, policy, table)
    return policy


def keep(row: RetentionPolicy, actor: Actor, fields: Collection[str]) -> None:
    """Save a new policy, or of one that is there only these fields: what else was changed meanwhile stays.

    Raises InvalidPolicy, UsageError, StoreUnreachable.
    """
    check(row)
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        before = RetentionPolicy.objects.select_for_update().filter(pk=row.pk).first()
        if before is None:
            row.save(force_insert=True)
        else:
            row.save(update_fields=[*fields, "changed_at"])
        told = {"before": _image(before, fields)} if before else {}
        verb = "change retention policy" if before else "add retention policy"
        switch.audit(Store.REGISTRY, actor, verb, None, {"policy": row.name}, after=_image(row, fields), **told)


def remove(row: RetentionPolicy, actor: Actor) -> None:
    """Remove a policy that never ran; raises Refused for one that did: its runs are told by it."""
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        if has_runs(row):
            raise Refused(f"policy {row.name} has runs; disable it instead")
        own = _image(row, [field.name for field in row._meta.concrete_fields])
        RetentionPolicy.objects.filter(pk=row.pk).delete()
        switch.audit(Store.REGISTRY, actor, "delete retention policy", None, {"policy": row.name}, before=own)


def has_runs(row: RetentionPolicy) -> bool:
    """Whether any run was one of the policy."""
    with reaching(Store.REGISTRY):
        return RetentionRun.objects.filter(policy=row.name).exists()


def _image(row: RetentionPolicy, fields: Collection[str]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in fields}
    plain = (str, int, float, list, dict, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in values.items()}
