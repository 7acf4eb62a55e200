"""Backups: what is stored and what it is good for; tried by a drill, and rows of it brought back."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dualwrite.admin.reading import ReadOnly
from dualwrite.admin.retention.pages import OfVerbs
from dualwrite.admin.retention.restore_form import RestoreForm
from dualwrite.admin.retention.restoring import begin, facts
from dualwrite.admin.retention.shown import day, link, moment, size, table
from dualwrite.admin.retention.verbs import Done, Verb, actor, address
from dualwrite.background import send
from dualwrite.exceptions import DualWriteError
from dualwrite.models import BackupState, RetentionBackup
from dualwrite.retention import manifest, vault
from dualwrite.switch import Actor


def _drill(row: RetentionBackup, who: Actor, data: Mapping[str, Any]) -> Done:
    send(
        "dualwrite.retention.drill",
        f"manage.py verify_backups --backup {row.pk}",
        actor=who.name,
        reason="asked for in the admin",
        number=row.pk,
    )
    return Done(f"Backup {row.pk}: the worker was asked to try it; the drill is listed as soon as it begins.")


def _expired(row: RetentionBackup) -> str:
    return "it has expired, and was removed" if row.state == BackupState.EXPIRED else ""


@admin.register(RetentionBackup)
class BackupAdmin(ReadOnly, OfVerbs):
    """Every backup there ever was."""

    verbs = (
        Verb("drill", "Drill", "read it and restore it into a temporary table", do=_drill, why_not=_expired),
        Verb(
            "restore",
            "Restore",
            "bring rows of it back; a dry run first",
            elsewhere=lambda row: address("retentionbackup", "restore", row.pk),
            why_not=_expired,
        ),
    )
    actions = ("drill_backups",)
    # No filters beside the list, which is wide; its search knows the states as well.
    list_display = ("id", "table", "policy", "rows", "stored", "made_on", "expires_on", "state", "tried_on", "finding")
    search_fields = ("table", "policy", "state", "location", "finding")
    readonly_fields = ("stored", "made", "drilled", "runs_shown", "restores_shown", "parts_shown")
    fields = (
        ("table", "policy", "state"),
        ("rows", "stored"),
        "location",
        ("made", "expires_at"),
        ("drilled", "finding"),
        "runs_shown",
        "restores_shown",
        "parts_shown",
        "manifest_sha256",
    )

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """The form of a restore as well."""
        view = self.admin_site.admin_view(self.restore_view)
        return [path("<path:object_id>/restore/", view, name="dualwrite_retentionbackup_restore"), *super().get_urls()]

    def restore_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Which rows are to come back (GET); counting them, before anything is changed (POST)."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row: RetentionBackup | None = self.get_object(request, unquote(object_id))
        if row is None or _expired(row):
            messages.warning(request, "There is no such backup any more.")
            return HttpResponseRedirect(address("retentionbackup", "changelist"))
        form = RestoreForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            done = self.told(request, lambda: begin(row, form.asked(dry_run=True), actor(request, "looked at")))
            if done:
                return HttpResponseRedirect(done.address)
        return self.page(request, "restore", f"Restore: {row}", {"row": row, "form": form, "facts": facts(row)})

    @admin.action(description="Drill the selected backups", permissions=["operate"])
    def drill_backups(self, request: HttpRequest, chosen: QuerySet[RetentionBackup]) -> None:
        """Ask the worker to try each, as `verify_backups --backup` does."""
        for row in chosen:
            try:
                messages.success(request, _drill(row, actor(request), {}).sentence)
            except DualWriteError as exc:
                messages.error(request, str(exc))

    @admin.display(description="size", ordering="bytes")
    def stored(self, row: RetentionBackup) -> str:
        """Stored bytes."""
        return size(row.bytes)

    @admin.display(description="made", ordering="made_at")
    def made_on(self, row: RetentionBackup) -> str:
        """The day."""
        return day(row.made_at)

    @admin.display(description="expires", ordering="expires_at")
    def expires_on(self, row: RetentionBackup) -> str:
        """The day."""
        return day(row.expires_at)

    @admin.display(description="tried", ordering="drilled_at")
    def tried_on(self, row: RetentionBackup) -> str:
        """The day of the last drill."""
        return day(row.drilled_at, "never")

    @admin.display(description="made")
    def made(self, row: RetentionBackup) -> str:
        """When, to the second."""
        return moment(row.made_at)

    @admin.display(description="tried")
    def drilled(self, row: RetentionBackup) -> str:
        """When it was last restored into nothing."""
        return moment(row.drilled_at) if row.drilled_at else "never"

    @admin.display(description="runs")
    def runs_shown(self, row: RetentionBackup) -> SafeString | str:
        """The runs that made it or went on from it."""
        rows = [
            (link("retentionrun", run.pk), run.status, run.removed, moment(run.started_at)) for run in row.runs.all()
        ]
        return table(("run", "status", "rows removed", "begun"), rows)

    @admin.display(description="restores")
    def restores_shown(self, row: RetentionBackup) -> SafeString | str:
        """What was brought back of it, or counted."""
        rows = [
            (
                link("restorerun", made.pk),
                "dry run" if made.dry_run else "restored",
                made.status,
                made.restored,
                moment(made.started_at),
            )
            for made in row.restores.all()
        ]
        return table(("restore", "", "status", "rows", "begun"), rows)

    @admin.display(description="parts, as its manifest says")
    def parts_shown(self, row: RetentionBackup) -> SafeString | str:
        """Each part, read from the storage now; or why it cannot be read."""
        if _expired(row):
            return "-"
        try:
            found = manifest.load(vault.configured(), row.location, row.manifest_sha256)
        except DualWriteError as exc:
            return format_html("<strong>{}</strong>", str(exc))
        rows = [
            (number, kept.part.file, kept.part.rows, size(kept.part.bytes), len(kept.batches), kept.part.sha256[:16])
            for number, kept in enumerate(found.parts, 1)
        ]
        return table(("part", "file", "rows", "size", "batches", "sha256 begins"), rows)
