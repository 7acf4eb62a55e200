"""Switching a policy off, which also stops what it is at, and on again."""

from contextlib import suppress

from dualwrite import switch
from dualwrite.exceptions import Refused, UsageError
from dualwrite.models import RetentionPolicy, RetentionRun, Run
from dualwrite.retention.approval import policy_named
from dualwrite.retention.policy import in_force
from dualwrite.retention.run import cancel
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor


def enable(name: str, actor: Actor) -> RetentionPolicy:
    """Let runs carry the policy out again; what was approved still is.

    Raises UnknownName, UsageError without a reason, InvalidPolicy.
    """
    in_force(policy_named(name))
    return _set(name, actor, enabled=True)


def disable(name: str, actor: Actor) -> RetentionPolicy:
    """Let no run of the policy begin, and ask the one under way to stop, which it does after the batch it is at.

    Raises UnknownName, UsageError without a reason, StoreUnreachable.
    """
    row = _set(name, actor, enabled=False)
    with reaching(Store.REGISTRY):
        under_way = list(RetentionRun.objects.filter(policy=name, dry_run=False, status=Run.RUNNING))
    for run in under_way:
        with suppress(Refused):  # it has ended meanwhile
            cancel(run.pk, actor)
    return row


def _set(name: str, actor: Actor, *, enabled: bool) -> RetentionPolicy:
    verb = "enable" if enabled else "disable"
    if not actor.reason:
        raise UsageError(f"to {verb} a policy needs a reason")
    row = policy_named(name)
    with reaching(Store.REGISTRY):
        changed = RetentionPolicy.objects.filter(pk=row.pk, enabled=not enabled).update(enabled=enabled)
    if changed:
        switch.audit(Store.REGISTRY, actor, f"{verb} retention", None, {"policy": name})
    return policy_named(name)
