"""A person says yes to a policy as it is: once, and again after each change that could remove more."""

import json
from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from dualwrite import switch
from dualwrite.exceptions import Refused, UnknownName, UsageError
from dualwrite.models import RetentionPolicy, RetentionRun, RetentionStatus
from dualwrite.retention.exceptions import NotApproved
from dualwrite.retention.policy import APPROVED, Policy, in_force
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor

#: What was looked at must be of late.
LOOKED_AT_WITHIN = timedelta(hours=24)


@dataclass(frozen=True)
class Standing:
    """Whether a policy may be carried out, and in a sentence by whom, or why not."""

    approved: bool
    sentence: str


def standing(row: RetentionPolicy) -> Standing:
    """How the approval of a policy stands, with what was changed since; raises StoreUnreachable."""
    try:
        policy = in_force(row)
    except UsageError as exc:
        return Standing(False, exc.detail)
    if is_approved(row, policy):
        return Standing(True, f"by {row.approved_by}, for at least {row.approved_days} days")
    if row.approved_days is None:
        return Standing(False, "never approved")
    return Standing(False, f"changed since it was approved: {'; '.join(_changes(row, policy))}")


def _changes(row: RetentionPolicy, policy: Policy) -> list[str]:
    """What is other than what was approved, which the dry run that was looked at has."""
    now = policy.as_data()
    with reaching(Store.REGISTRY):
        looked = RetentionRun.objects.filter(policy=row.name, policy_hash=row.approved_hash).order_by("-id").first()
    before = {**(looked.frozen if looked else {}), "days": row.approved_days}
    other = [name for name in APPROVED if name in before and before[name] != now[name]]
    if row.approved_days is not None and policy.days < row.approved_days:
        other.append("days")
    return [f"{name} {_plain(before[name])} \N{RIGHTWARDS ARROW} {_plain(now[name])}" for name in other]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def policy_named(name: str) -> RetentionPolicy:
    """The row of that policy; raises UnknownName listing the valid ones, StoreUnreachable."""
    with reaching(Store.REGISTRY):
        row = RetentionPolicy.objects.filter(name=name).first()
        if row is None:
            raise UnknownName("policy", name, RetentionPolicy.objects.values_list("name", flat=True))
    return row


def is_approved(row: RetentionPolicy, policy: Policy) -> bool:
    """Whether somebody approved what it would do now, or something that removes more."""
    return row.approved_hash == policy.hash and row.approved_days is not None and policy.days >= row.approved_days


def require_approved(row: RetentionPolicy, policy: Policy) -> None:
    """Raise NotApproved unless it is."""
    if not is_approved(row, policy):
        raise NotApproved(f"{row.name}, {policy.days} days")


def approve(name: str, actor: Actor) -> RetentionPolicy:
    """Approve the policy as it is now, which somebody has looked at by a dry run within a day.

    Raises UnknownName, UsageError without a reason, Refused without such a dry run, InvalidPolicy.
    """
    if not actor.reason:
        raise UsageError("an approval needs a reason")
    row = policy_named(name)
    policy = in_force(row)
    _require_looked_at(policy)
    values = {"approved_hash": policy.hash, "approved_days": policy.days, "approved_by": actor.name}
    with reaching(Store.REGISTRY):
        # What was approved is the row that was read; somebody may be saving another one.
        same = RetentionPolicy.objects.filter(pk=row.pk, changed_at=row.changed_at)
        if not same.update(**values, approved_at=Now()):
            raise Refused(f"policy {name} was changed meanwhile; look at it again")
    switch.audit(Store.REGISTRY, actor, "approve retention", None, {"policy": name, **policy.as_data()})
    return policy_named(name)


def _require_looked_at(policy: Policy) -> None:
    since = timezone.now() - LOOKED_AT_WITHIN
    with reaching(Store.REGISTRY):
        looked = RetentionRun.objects.filter(
            policy=policy.name, policy_hash=policy.hash, status=RetentionStatus.PLANNED, started_at__gte=since
        )
        if not any(run.frozen.get("days") == policy.days for run in looked):
            raise Refused(
                f"nobody has looked at what {policy.name} would do as it is now; "
                f"manage.py run_retention --policy {policy.name} shows it, then approve it within a day"
            )
