"""One run of one policy: planned, exported, verified, removed, reconciled; or continued where one was broken off.

Command, endpoint, admin and schedule call `run`. Nothing is removed unless `Order.execute` says so.
"""

import time
from collections.abc import Sequence

from dualwrite import runs, switch
from dualwrite.exceptions import Refused, UsageError
from dualwrite.failpoints import reach
from dualwrite.models import RetentionRun, RetentionState, RetentionStatus
from dualwrite.retention import planner, states, vault
from dualwrite.retention.approval import policy_named, require_approved
from dualwrite.retention.backing_up import back_up
from dualwrite.retention.broken_off import taken_over, to_go_on_with
from dualwrite.retention.case import Case, Order, require_no_more
from dualwrite.retention.exceptions import WrongClock
from dualwrite.retention.export import Source, batches
from dualwrite.retention.manifest import Manifest, Stored
from dualwrite.retention.planner import Plan
from dualwrite.retention.policy import Policy, in_force
from dualwrite.retention.rows import Holds, Rows
from dualwrite.retention.trim import Place, Removed, Trim, trim
from dualwrite.runs import Outcome, Watch
from dualwrite.stages import Store
from dualwrite.stores import failing, reaching
from dualwrite.switch import Actor

__all__ = ["Order", "cancel", "executable", "run"]


def run(name: str, order: Order, watch: Watch | None = None) -> RetentionRun:
    """Plan or execute the policy of that name and return the stored run.

    Raises UnknownName, InvalidPolicy, UsageError, NotApproved, Refused where it is switched off or may not be carried
    out, AlreadyRunning, and whatever kept it from its end (stored as `error`).
    """
    if order.force and not order.actor.reason:
        raise UsageError("force needs a reason")
    policy = executable(name) if order.execute else in_force(policy_named(name))
    place = vault.configured()
    with runs.only(RetentionRun, policy.subject) as owner:
        made = RetentionRun(
            stream=policy.subject.name,
            policy=policy.name,
            dry_run=not order.execute,
            actor=order.actor.name,
            reason=order.actor.reason,
            forced=order.force,
            frozen=policy.as_data(),
            policy_hash=policy.hash,
            **owner.as_fields(),
        )
        with reaching(Store.REGISTRY):
            made.save(force_insert=True)
        case = Case(made, policy, order, watch or Watch(), place)
        runs.conduct(made, owner, case.watch, Store.REGISTRY, lambda: _work(case))
    return made


def executable(name: str) -> Policy:
    """The policy of that name, if a run may carry it out now; raises as `run`."""
    row = policy_named(name)
    policy = in_force(row)
    if not row.enabled:
        raise Refused(f"policy {name} is not enabled")
    require_approved(row, policy)
    return policy


def cancel(number: int, actor: Actor) -> RetentionRun:
    """Ask the run to stop: between two batches it does. The next run of its policy goes on where it stopped.

    Raises UsageError when there is no such run, Refused when it has ended, StoreUnreachable.
    """
    found = runs.cancel(RetentionRun, number, actor.name)
    switch.audit(Store.REGISTRY, actor, "cancel retention", None, {"run": found.pk, "policy": found.policy})
    return found


def _work(case: Case) -> Outcome:
    began = time.monotonic()
    with failing(Store.REGISTRY):
        outcome = _execute(case) if case.order.execute else _planned(case)
    return Outcome(outcome.status, outcome.sentence, {**outcome.fields, "seconds": round(time.monotonic() - began, 3)})


def _planned(case: Case) -> Outcome:
    plan = planner.make(case.policy, case.watch)
    return Outcome(RetentionStatus.PLANNED, plan.refused or plan.braked, _fields(plan))


def _fields(plan: Plan) -> dict[str, object]:
    own = {"cutoff": plan.cutoff, "plan": plan.as_data(), "planned_rows": plan.goes}
    return {**own, "schema_hash": plan.table.hash}


def _execute(case: Case) -> Outcome:
    _require_unchanged(case.policy)
    if (why := case.stop()) and case.order.unattended:
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.SKIPPED, why)
    left = to_go_on_with(case)
    if left is None:
        return _begin(case)
    try:
        rows, found = taken_over(case, left)
    except WrongClock as exc:
        return Outcome(RetentionStatus.REFUSED, exc.detail)
    return _remove(case, rows, found)


def _require_unchanged(policy: Policy) -> None:
    """Whoever changes or disables a policy from now on sees this run, and can cancel it."""
    row = policy_named(policy.name)
    if not row.enabled or in_force(row) != policy:
        raise Refused(f"policy {policy.name} was changed meanwhile")


def _begin(case: Case) -> Outcome:
    plan = planner.make(case.policy, case.watch)
    runs.note(case.run, **_fields(plan))
    reach("retention planned")
    if why := plan.refused or ("" if case.order.force else plan.braked):
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.REFUSED, why)
    if not plan.goes:
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.COMPLETE, fields={"removed": 0})
    rows = Rows(case.policy, plan.table, plan.cutoff, case.run.pk)
    source = Source(rows, plan.holds, plan.goes)
    if not case.policy.backup:
        places = [Place(batch) for batch in batches(source, case.watch)]
        require_no_more(case, plan, sum(place.batch.rows for place in places))
        return _remove(case, rows, None, places)
    return _remove(case, rows, back_up(case, plan, source))


def _places(parts: Sequence[Stored]) -> list[Place]:
    return [Place(batch, stored.part.file, before) for stored in parts for batch, before in stored.placed()]


def _remove(case: Case, rows: Rows, found: Manifest | None, places: Sequence[Place] = ()) -> Outcome:
    """Let the rows of the backup go, or where none was made those of the places."""
    evidence = {"run": case.run.pk, "policy": case.policy.name, "backup": case.run.location}
    switch.audit(
        Store.REGISTRY, case.order.actor, "retention begins", None, {**evidence, "rows": case.run.planned_rows}
    )
    states.to(case.run, RetentionState.DELETING)
    reach("retention deleting")
    held = Holds.kept(case.run.plan["holds"])
    work = Trim(rows, case.vault, case.run.location, held, found.moment if found else None, case.stop)
    removed = trim(work, _places(found.parts) if found else places, case.watch)
    if removed.stopped:
        return Outcome(RetentionStatus.STOPPED, removed.stopped, {"stopped_because": removed.stopped})
    states.to(case.run, RetentionState.RECONCILED, **_counted(removed))
    reach("retention reconciled")
    switch.audit(Store.REGISTRY, case.order.actor, "retention", None, {**evidence, **_counted(removed)})
    states.to(case.run, RetentionState.COMPLETE)
    return Outcome(RetentionStatus.COMPLETE, _stayed(removed))


def _counted(removed: Removed) -> dict[str, int]:
    return {"removed": removed.gone, "changed": removed.changed, "held": removed.held}


def _stayed(removed: Removed) -> str:
    said = []
    if removed.changed:
        said.append(f"{removed.changed} rows had changed since they were exported")
    if removed.held:
        said.append(f"{removed.held} rows are held or waiting to be relayed")
    return f"{' and '.join(said)}, so they stay" if said else ""
