"""Retention for people: what would go, what went, what came back."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.template.defaultfilters import filesizeformat

from dualwrite.management.render import table
from dualwrite.models import DrillRun, LegalHold, RestoreRun, RetentionPolicy, RetentionRun, RetentionStatus
from dualwrite.retention.planner import EXAMPLES
from dualwrite.retention.run import Order
from dualwrite.retention.several import Told

#: Exit codes by status; what is not here could not be told.
CODES = {
    RetentionStatus.PLANNED: 0,
    RetentionStatus.COMPLETE: 0,
    RetentionStatus.SKIPPED: 0,
    RetentionStatus.STOPPED: 1,
    RetentionStatus.REFUSED: 1,
    RetentionStatus.CANCELLED: 1,
}


def exit_code(runs: Sequence[RetentionRun]) -> int:
    """0 when all came to their end, 1 when a brake or somebody stopped one, 3 when one broke."""
    return max((CODES.get(RetentionStatus(run.status), 3) for run in runs), default=0)


def as_data(run: RetentionRun) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "policy": run.policy,
        "run": run.pk,
        "status": run.status,
        "state": run.state,
        "dry_run": run.dry_run,
        "table": run.stream,
        "action": run.frozen.get("action"),
        "days": run.frozen.get("days"),
        "cutoff": run.cutoff,
        "rows": run.planned_rows,
        "removed": run.removed,
        "changed": run.changed,
        "held": run.held,
        "backup": run.location or None,
        "seconds": run.seconds,
        "sentence": run.error,
        "plan": run.plan,
    }


def told_data(told: Told, order: Order) -> dict[str, Any]:
    """What the command prints as JSON of several policies, and the endpoint answers."""
    data = [as_data(made) for made in told.runs]
    data += [{"policy": name, "status": "refused", "sentence": str(why)} for name, why in told.refused.items()]
    return {"dry_run": not order.execute, "policies": data}


def text(runs: Sequence[RetentionRun], refused: Mapping[str, str]) -> str:
    """A line per policy, what is to be said of it, the first rows that would go."""
    head = ["run", "policy", "action", "days", "status", "rows", "of", "size", "oldest", "newest", "removed"]
    lines = [table([*head, "seconds"], [_row(run) for run in runs])] if runs else []
    for run in runs:
        lines += [f"! {run.policy}: {sentence}" for sentence in _sentences(run)]
        if run.dry_run:
            lines += [
                f"  {run.policy} {row['key']} of {row['date']}" for row in run.plan.get("examples", [])[:EXAMPLES]
            ]
    lines += [f"! {name}: {why}" for name, why in refused.items()]
    if any(run.dry_run for run in runs):
        lines.append("Nothing was changed. --execute removes what is approved; --approve approves a policy.")
    return "\n".join(lines) or "There is no enabled policy."


def _row(run: RetentionRun) -> list[object]:
    plan = run.plan
    size = filesizeformat(plan["bytes"]).replace("\xa0", " ") if "bytes" in plan else None
    ends = [str(plan.get(name) or "")[:10] for name in ("oldest", "newest")]
    own = [run.pk, run.policy, run.frozen.get("action"), run.frozen.get("days"), run.status]
    return [*own, plan.get("rows"), plan.get("of"), size, *ends, run.removed, run.seconds]


def _sentences(run: RetentionRun) -> list[str]:
    plan = run.plan
    said = [run.error] if run.error else []
    if plan.get("kept_back"):
        said.append(f"{plan['kept_back']} rows are old enough and stay: held, or waiting to be relayed")
    if plan.get("referrers"):
        said.append(f"rows are referred to by {', '.join(plan['referrers'])}")
    if run.backup_id:
        said.append(f"backup {run.location}; manage.py restore_backup {run.pk} brings rows back")
    return said


def history(runs: Sequence[RetentionRun]) -> str:
    """The latest runs, a line each."""
    head = ["run", "policy", "status", "state", "began", "rows", "removed", "changed", "held", "by"]
    rows = [
        [
            r.pk,
            r.policy,
            r.status,
            r.state,
            f"{r.started_at:%Y-%m-%d %H:%M}",
            r.planned_rows,
            r.removed,
            r.changed,
            r.held,
        ]
        for r in runs
    ]
    actors = [run.actor for run in runs]
    return table(head, [[*row, by] for row, by in zip(rows, actors, strict=True)]) if rows else "There was no run yet."


def policy_text(row: RetentionPolicy) -> str:
    """How a policy stands."""
    by = f", approved by {row.approved_by} for {row.approved_days} days" if row.approved_by else ", not approved"
    return f"policy {row.name} ({row.action} {row.table}) is {'enabled' if row.enabled else 'disabled'}{by}"


def policy_data(row: RetentionPolicy) -> dict[str, Any]:
    """The same as JSON."""
    names = ("table", "action", "enabled", "approved_days", "approved_by", "approved_at")
    return {"policy": row.name, **{name: getattr(row, name) for name in names}}


def restored(run: RestoreRun) -> str:
    """What came back."""
    would = "would be " if run.dry_run else ""
    counts = f"{run.restored} rows {would}restored, {run.overwritten} overwritten, {run.skipped} skipped"
    said = f"restore {run.pk} of {run.backup.location}: {run.found} rows asked for, {counts}"
    return f"{said}\n! {run.error}" if run.error else said


def restored_data(run: RestoreRun) -> dict[str, Any]:
    """The same as JSON."""
    counts = {name: getattr(run, name) for name in ("found", "restored", "overwritten", "skipped")}
    own = {"run": run.pk, "backup": run.backup.location, "dry_run": run.dry_run, "status": run.status}
    return {**own, **counts, "asked": run.asked, "sentence": run.error}


def drilled(run: DrillRun) -> str:
    """What each backup came to."""
    rows = [[one["backup"], one["location"], one["rows"], one["finding"] or "restored"] for one in run.checked]
    found = table(["backup", "location", "rows", "finding"], rows) if rows else "There is no backup yet."
    return f"{found}\n! {run.error}" if run.error else found


def held(holds: Sequence[LegalHold]) -> str:
    """Holds in force, a line each."""
    rows = [[h.pk, h.table, h.name, h.value, f"{h.since:%Y-%m-%d}", h.until, h.by, h.reason] for h in holds]
    head = ["hold", "table", "name", "value", "since", "until", "by", "reason"]
    return table(head, rows) if rows else "Nothing is held."


def held_data(hold: LegalHold) -> dict[str, Any]:
    """A hold as JSON."""
    names = ("table", "name", "value", "reason", "by", "since", "until", "released_at", "released_by")
    return {"hold": hold.pk, **{name: getattr(hold, name) for name in names}}
