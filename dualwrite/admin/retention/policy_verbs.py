"""What an operator does with a policy: look at what would go, approve it, carry it out, switch it off and on."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dualwrite.admin.retention.verbs import Done, Question, Verb, address
from dualwrite.background import awaited, send
from dualwrite.exceptions import DualWriteError
from dualwrite.models import RetentionPolicy, RetentionRun, RetentionStatus
from dualwrite.retention import approval, enabling
from dualwrite.retention.policy import Policy, in_force
from dualwrite.retention.run import Order, executable, run
from dualwrite.switch import Actor


def looked_at(name: str, policy: Policy, within: timedelta = approval.LOOKED_AT_WITHIN) -> RetentionRun | None:
    """The last dry run of the policy as it is now, if there was one of late."""
    runs = RetentionRun.objects.filter(
        policy=name,
        policy_hash=policy.hash,
        dry_run=True,
        status=RetentionStatus.PLANNED,
        started_at__gte=timezone.now() - within,
    )
    return next((found for found in runs if found.frozen.get("days") == policy.days), None)


def _plan(row: RetentionPolicy, who: Actor, data: Mapping[str, Any]) -> Done:
    made = run(row.name, Order(who))
    rows = "rows" if made.planned_rows != 1 else "row"
    return Done(
        f"Policy {row.name}: {made.planned_rows} {rows} would go; nothing was changed.",
        address("retentionrun", "change", made.pk),
        made.error,
    )


def _ask(row: RetentionPolicy) -> tuple[Policy | None, RetentionRun | None, list[str]]:
    """The policy as it is, the dry run that was looked at, and what is in the way of going on from them."""
    try:
        policy = in_force(row)
    except DualWriteError as exc:
        return None, None, [str(exc)]
    looked = looked_at(row.name, policy)
    missing = "Nobody has looked within a day at what it would do as it is now: make a dry run first."
    return policy, looked, [] if looked else [missing]


def _question_of_approval(row: RetentionPolicy) -> Question:
    policy, looked, blocked = _ask(row)
    if policy is None:
        return Question(blocked=blocked)
    here = approval.standing(row)
    return Question(
        says=[
            f"From now on {_what(policy)}, every time it is run, until the policy is changed so that it removes more.",
            f"So far: {here.sentence}.",
        ],
        blocked=blocked,
        plan=looked,
        seen=_seen(policy, looked),
        command=f"manage.py run_retention --approve --policy {row.name} --reason WHY",
    )


def _approve(row: RetentionPolicy, who: Actor, data: Mapping[str, Any]) -> Done:
    made = approval.approve(row.name, who)
    return Done(f"Policy {row.name} is approved for {made.approved_days} days and more.")


def _question_of_execution(row: RetentionPolicy) -> Question:
    policy, looked, blocked = _ask(row)
    try:
        executable(row.name)
    except DualWriteError as exc:
        blocked = [str(exc), *blocked]
    if policy is None or looked is None:
        return Question(blocked=blocked)
    never, braked = looked.plan.get("refused", ""), looked.plan.get("braked", "")
    return Question(
        says=[
            f"Now {_what(policy)}. What goes is found anew; this is what was found at {looked.started_at:%H:%M} UTC.",
            "A verified backup has the rows before the first goes; a restore brings them back."
            if policy.backup
            else "No backup is made: the rows are moved or marked, none is lost.",
        ],
        risks=[f"A brake holds it unless forced: {braked}."] if braked else [],
        blocked=[*blocked, *([never] if never else [])],
        plan=looked,
        seen=_seen(policy, looked),
        forcible=bool(braked),
        needs_reason=bool(braked),
        command=_command(row.name, force=bool(braked)),
    )


def _execute(row: RetentionPolicy, who: Actor, data: Mapping[str, Any]) -> Done:
    executable(row.name)
    last = RetentionRun.objects.values_list("pk", flat=True).first() or 0
    force = bool(data.get("force"))
    send(
        "dualwrite.retention.run_policy",
        _command(row.name, force=force),
        policy=row.name,
        actor=who.name,
        reason=who.reason,
        force=force,
    )
    return _begun(row.name, last)


def _begun(name: str, after: int) -> Done:
    """The run's page, if the worker begins at once."""
    found = awaited(lambda: RetentionRun.objects.filter(policy=name, pk__gt=after, dry_run=False).first())
    if found is not None:
        return Done(f"Policy {name}: run {found.pk} is under way.", address("retentionrun", "change", found.pk))
    waits = f"Policy {name}: the worker was asked, and begins when it is free, within an hour or not at all."
    return Done(waits, f"{address('retentionrun', 'changelist')}?policy={name}")


def _switch_off(row: RetentionPolicy, who: Actor, data: Mapping[str, Any]) -> Done:
    enabling.disable(row.name, who)
    return Done(f"Policy {row.name} is disabled; a run under way stops after the batch it is at.")


def _switch_on(row: RetentionPolicy, who: Actor, data: Mapping[str, Any]) -> Done:
    enabling.enable(row.name, who)
    return Done(f"Policy {row.name} is enabled.")


def _what(policy: Policy) -> str:
    words = {"delete": "are deleted", "archive": "are moved to the archive", "mark_inactive": "are marked inactive"}
    some = " that meet its conditions" if policy.conditions else ""
    return f"rows of {policy.subject.name}{some} {words[policy.action]} once they are older than {policy.days} days"


def _seen(policy: Policy, looked: RetentionRun | None) -> str:
    return f"{policy.hash} {policy.days} {looked.pk if looked else '-'}"


def _command(name: str, *, force: bool) -> str:
    return f"manage.py run_retention --execute --policy {name}{' --force --reason WHY' if force else ''}"


VERBS = (
    Verb("dry_run", "Dry run", "show what would go; changes nothing", do=_plan),
    Verb("approve", "Approve", "let it be carried out as it is, every night", do=_approve, ask=_question_of_approval),
    Verb("execute", "Execute now", "remove what is old now", do=_execute, ask=_question_of_execution, stops=True),
    Verb(
        "disable",
        "Disable",
        "no run begins, and one under way stops",
        do=_switch_off,
        ask=lambda row: Question([f"No run of {row.name} begins from now on; one under way stops after its batch."]),
        why_not=lambda row: "" if row.enabled else "it is disabled already",
        stops=True,
    ),
    Verb(
        "enable",
        "Enable",
        "let runs carry it out again, as it was approved",
        do=_switch_on,
        ask=lambda row: Question([f"Runs carry {row.name} out again; approved: {approval.standing(row).sentence}."]),
        why_not=lambda row: "it is enabled already" if row.enabled else "",
    ),
)
