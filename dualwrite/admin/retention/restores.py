"""Restores and drills: what came back or would, what was tried; a restore that was counted can be carried out."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from dualwrite.admin.reading import ReadOnly, readable
from dualwrite.admin.retention.pages import OfVerbs
from dualwrite.admin.retention.restoring import begin, command, facts, told
from dualwrite.admin.retention.shown import link, moment, table
from dualwrite.admin.retention.verbs import Done, Question, Verb
from dualwrite.admin.running import OfRuns
from dualwrite.models import BackupState, DrillRun, RestoreRun, RetentionStatus
from dualwrite.retention.restore import Asked, Conflict
from dualwrite.switch import Actor


def _why_not(row: RestoreRun) -> str:
    if not row.dry_run:
        return "this is a restore already"
    if row.status != RetentionStatus.PLANNED:
        return "the dry run did not come to its end"
    return "its backup has expired" if row.backup.state == BackupState.EXPIRED else ""


def _question(row: RestoreRun) -> Question:
    why_not = _why_not(row)
    asked = Asked.kept(row.asked, dry_run=False)
    run = row.backup.runs.order_by("-id").values_list("pk", flat=True).first() or 0
    overwrites = asked.on_conflict is Conflict.OVERWRITE and row.overwritten
    return Question(
        says=[
            told(row),
            f"Asked for: {_asked(row)}.",
            "All of it in one transaction: either every row comes back, or none.",
        ],
        risks=[f"{row.overwritten} rows that are in the table now lose what they have."] if overwrites else [],
        blocked=[f"{why_not[0].upper()}{why_not[1:]}."] if why_not else [],
        facts=facts(row.backup),
        seen=str(row.pk),
        command=command(run, asked),
    )


def _asked(row: RestoreRun) -> str:
    """Which rows, in words."""
    asked = Asked.kept(row.asked, dry_run=row.dry_run)
    said = [f"part {asked.part}" if asked.part else "", f"keys {', '.join(asked.keys)}" if asked.keys else ""]
    said += [
        f"from {moment(asked.since)}" if asked.since else "",
        f"before {moment(asked.until)}" if asked.until else "",
    ]
    return "; ".join([*filter(None, said)] or ["all rows"]) + f"; rows that are there: {asked.on_conflict}"


def _restore(row: RestoreRun, who: Actor, data: Mapping[str, Any]) -> Done:
    return begin(row.backup, Asked.kept(row.asked, dry_run=False), who)


@admin.register(RestoreRun)
class RestoreAdmin(ReadOnly, OfVerbs, OfRuns):
    """Every restore, counted ones too."""

    verbs = (
        Verb("restore", "Restore these rows", "bring back what was counted", _restore, _question, why_not=_why_not),
    )
    list_display = ("id", "backup_page", "kind_shown", "standing", "counted", "actor", "begun")
    list_filter = ("status", "dry_run")
    search_fields = ("stream", "actor", "reason", "error")
    readonly_fields = ("kind_shown", "standing", "begun", "ended", "backup_page", "asked_shown", "counted")
    fields = (
        ("backup_page", "kind_shown"),
        "standing",
        "error",
        "asked_shown",
        "counted",
        ("begun", "ended"),
        ("actor", "reason"),
        "owner",
    )

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    @admin.display(description="kind", ordering="dry_run")
    def kind_shown(self, row: RestoreRun) -> str:
        """Whether anything was to come back."""
        return "dry run" if row.dry_run else "restore"

    @admin.display(description="begun", ordering="started_at")
    def begun(self, row: RestoreRun) -> str:
        """When, to the second."""
        return moment(row.started_at)

    @admin.display(description="ended")
    def ended(self, row: RestoreRun) -> str:
        """When, to the second."""
        return moment(row.finished_at)

    @admin.display(description="backup")
    def backup_page(self, row: RestoreRun) -> SafeString | str:
        """The backup, as a link."""
        return link("retentionbackup", row.backup_id, row.backup)

    @admin.display(description="rows")
    def counted(self, row: RestoreRun) -> str:
        """What came of them."""
        return told(row) if row.found is not None else "-"

    @admin.display(description="asked for")
    def asked_shown(self, row: RestoreRun) -> str:
        """Which rows."""
        return _asked(row)


@admin.register(DrillRun)
class DrillAdmin(ReadOnly, OfVerbs, OfRuns):
    """Every drill."""

    list_display = ("id", "standing", "backups", "error", "actor", "begun")
    list_filter = ("status", "started_at")
    readonly_fields = ("standing", "begun", "ended", "checked_shown")
    fields = (("standing", "begun", "ended"), "actor", "error", "checked_shown", "owner")

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    @admin.display(description="backups")
    def backups(self, row: DrillRun) -> int:
        """How many were tried."""
        return len(row.checked)

    @admin.display(description="begun", ordering="started_at")
    def begun(self, row: DrillRun) -> str:
        """When, to the second."""
        return moment(row.started_at)

    @admin.display(description="ended")
    def ended(self, row: DrillRun) -> str:
        """When, to the second."""
        return moment(row.finished_at)

    @admin.display(description="what was tried")
    def checked_shown(self, row: DrillRun) -> SafeString | str:
        """Each backup, and what was found."""
        try:
            rows = [
                (link("retentionbackup", one["backup"]), one["location"], one["rows"], one["finding"] or "restored")
                for one in row.checked
            ]
        except (KeyError, TypeError):
            return readable(row.checked)
        return table(("backup", "location", "rows", "finding"), rows)
