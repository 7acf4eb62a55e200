"""Runs: how far one under way is, what it planned and did, its backup, a way to stop it and one to bring rows back."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dualwrite.admin.reading import ReadOnly, readable
from dualwrite.admin.retention.pages import OfVerbs
from dualwrite.admin.retention.shown import link, moment, plan_table
from dualwrite.admin.retention.verbs import Done, Verb, actor, address
from dualwrite.admin.running import OfRuns
from dualwrite.exceptions import DualWriteError
from dualwrite.models import BackupState, RetentionPolicy, RetentionRun, RetentionStatus
from dualwrite.retention.run import cancel
from dualwrite.switch import Actor


def _cancel(row: RetentionRun, who: Actor, data: Mapping[str, Any]) -> Done:
    made = cancel(row.pk, Actor(who.name, "cancelled in the admin"))
    asked = made.status == RetentionStatus.RUNNING
    return Done(f"Retention run {row.pk}: {'asked to stop' if asked else made.error}")


def _why_not_cancel(row: RetentionRun) -> str:
    return "" if row.status == RetentionStatus.RUNNING else "it has ended"


def _why_not_restore(row: RetentionRun) -> str:
    if row.backup is None:
        return "it has no backup"
    return "its backup has expired" if row.backup.state == BackupState.EXPIRED else ""


def _policy(row: RetentionRun) -> str:
    found = RetentionPolicy.objects.filter(name=row.policy).first()
    return address("retentionpolicy", "change", found.pk) if found else address("retentionpolicy", "changelist")


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnly, OfVerbs, OfRuns):
    """Every run, dry ones too."""

    verbs = (
        Verb(
            "cancel",
            "Cancel",
            "stop after the batch it is at; the next run goes on",
            do=_cancel,
            why_not=_why_not_cancel,
            stops=True,
        ),
        Verb(
            "restore",
            "Restore",
            "bring rows back that it removed",
            elsewhere=lambda row: address("retentionbackup", "restore", row.backup_id) if row.backup_id else "",
            why_not=_why_not_restore,
        ),
        Verb("policy", "Its policy", "approve it, carry it out, switch it off", elsewhere=_policy),
    )
    actions = ("cancel_runs",)
    list_display = ("id", "policy", "kind_shown", "standing", "counted", "actor", "begun")
    list_filter = ("status", "dry_run", "policy")
    search_fields = ("policy", "stream", "actor", "error")
    list_select_related = ("backup",)
    readonly_fields = (
        "standing",
        "kind_shown",
        "begun",
        "ended",
        "plan_shown",
        "backup_page",
        "resumed",
        "frozen_shown",
        "counted",
    )
    fields = (
        ("policy", "kind_shown"),
        ("standing", "state"),
        "error",
        "counted",
        "backup_page",
        "plan_shown",
        ("begun", "ended", "seconds"),
        ("actor", "reason"),
        ("owner", "resumed", "cancel_asked_by"),
        "frozen_shown",
    )

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    @admin.action(description="Cancel the selected runs", permissions=["operate"])
    def cancel_runs(self, request: HttpRequest, chosen: QuerySet[RetentionRun]) -> None:
        """Ask each to stop, as `run_retention --cancel` does."""
        for row in chosen:
            try:
                messages.success(request, _cancel(row, actor(request), {}).sentence)
            except DualWriteError as exc:
                messages.error(request, str(exc))

    @admin.display(description="kind", ordering="dry_run")
    def kind_shown(self, row: RetentionRun) -> str:
        """Whether anything was to go."""
        return "dry run" if row.dry_run else f"executed{', forced' if row.forced else ''}"

    @admin.display(description="begun", ordering="started_at")
    def begun(self, row: RetentionRun) -> str:
        """When it was begun, to the second."""
        return moment(row.started_at)

    @admin.display(description="ended")
    def ended(self, row: RetentionRun) -> str:
        """When it ended, to the second."""
        return moment(row.finished_at)

    @admin.display(description="rows")
    def counted(self, row: RetentionRun) -> str:
        """What became of those that were planned."""
        if row.dry_run or row.removed is None:
            return f"{row.planned_rows} planned" if row.planned_rows is not None else "-"
        stayed = [f"{row.changed} had changed and stayed"] if row.changed else []
        stayed += [f"{row.held} were held and stayed"] if row.held else []
        return "; ".join([f"{row.planned_rows} planned", f"{row.removed} removed", *stayed])

    @admin.display(description="plan")
    def plan_shown(self, row: RetentionRun) -> SafeString | str:
        """What would go, or went."""
        return plan_table(row)

    @admin.display(description="backup")
    def backup_page(self, row: RetentionRun) -> SafeString | str:
        """The backup, as a link; a dash where there is none."""
        return link("retentionbackup", row.backup_id, row.location) if row.backup_id else "-"

    @admin.display(description="goes on from")
    def resumed(self, row: RetentionRun) -> SafeString | str:
        """The run it took over, as a link."""
        return link("retentionrun", row.resumes) if row.resumes else "-"

    @admin.display(description="the policy as it was")
    def frozen_shown(self, row: RetentionRun) -> SafeString | str:
        """Readable."""
        return readable(row.frozen)
