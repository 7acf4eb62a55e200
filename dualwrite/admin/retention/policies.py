"""Policies: what they remove, whether they may, how their last run went; edited here, and operated by verbs."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dualwrite.admin.retention.pages import OfVerbs
from dualwrite.admin.retention.policy_form import FIELDS, PolicyForm
from dualwrite.admin.retention.policy_verbs import VERBS
from dualwrite.admin.retention.shown import link, moment, table
from dualwrite.admin.retention.verbs import actor, address
from dualwrite.admin.running import standing
from dualwrite.exceptions import DualWriteError
from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.retention import approval
from dualwrite.retention.editing import has_runs, keep, remove
from dualwrite.retention.policy import in_force

#: So many of the last runs are shown on a policy's page.
LAST_RUNS = 5


@admin.register(RetentionPolicy)
class PolicyAdmin(OfVerbs):
    """Every policy; those that ran are disabled, never deleted."""

    form = PolicyForm
    verbs = VERBS
    actions = None
    list_display = ("name", "table", "action", "period", "enabled", "approved", "last_run")
    search_fields = ("name", "table")
    readonly_fields = ("enabled", "period", "approved", "changed_at", "last_runs")
    fieldsets = (
        ("How it stands", {"fields": ("enabled", "approved", "period", "last_runs", "changed_at")}),
        ("What goes", {"fields": ("name", "table", "action", "date", "days", "conditions")}),
        ("How it is done", {"fields": ("backup", "batch_size", ("window_begins", "window_ends"))}),
        ("Brakes", {"fields": ("max_rows", "max_percent")}),
    )

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A policy that is not there yet does not stand in any way."""
        return self.fieldsets if obj else self.fieldsets[1:]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The name stays: runs are told by it."""
        return (*self.readonly_fields, "name") if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: RetentionPolicy | None = None) -> bool:
        """Only one that never ran is deleted."""
        return super().has_delete_permission(request, obj) and not (obj and has_runs(obj))

    def save_model(self, request: HttpRequest, obj: RetentionPolicy, form: Any, change: bool) -> None:
        """Keep what was changed, and what it was before."""
        fields = [name for name in FIELDS if name in form.fields and (not change or name in form.changed_data)]
        if fields:
            keep(obj, actor(request, "edited in the admin"), fields)
        here = approval.standing(obj)
        if not here.approved:
            messages.warning(request, f"Nothing goes by {obj.name} before it is approved: {here.sentence}.")

    def delete_model(self, request: HttpRequest, obj: RetentionPolicy) -> None:
        """Remove one that never ran."""
        try:
            remove(obj, actor(request, "deleted in the admin"))
        except DualWriteError as exc:
            raise PermissionDenied(str(exc)) from exc

    @admin.display(description="period in force")
    def period(self, row: RetentionPolicy) -> str:
        """The days that count, or why it cannot be told."""
        try:
            return f"{in_force(row).days} days"
        except DualWriteError as exc:
            return str(exc)

    @admin.display(description="approved")
    def approved(self, row: RetentionPolicy) -> SafeString | str:
        """Whether it may be carried out, by whom or why not."""
        here = approval.standing(row)
        if here.approved:
            return f"yes, {here.sentence}"
        return format_html("<strong>no</strong>, {}", here.sentence)

    @admin.display(description="last run")
    def last_run(self, row: RetentionPolicy) -> SafeString | str:
        """How the last that executed went, or a dry run where none did; as a link."""
        found = RetentionRun.objects.filter(policy=row.name).order_by("dry_run", "-id").first()
        if found is None:
            return "never"
        said = f"{'dry run' if found.dry_run else standing(found)}, {_rows(found)}, {moment(found.started_at)}"
        return link("retentionrun", found.pk, said)

    @admin.display(description="last runs")
    def last_runs(self, row: RetentionPolicy) -> SafeString | str:
        """The latest ones, and where all are."""
        found = RetentionRun.objects.filter(policy=row.name)[:LAST_RUNS]
        rows = [
            (
                link("retentionrun", run.pk),
                "dry run" if run.dry_run else "executed",
                standing(run),
                _rows(run),
                run.actor,
                moment(run.started_at),
            )
            for run in found
        ]
        if not rows:
            return "never"
        every = f"{address('retentionrun', 'changelist')}?policy={row.name}"
        listed = table(("run", "", "status", "rows", "by", "begun"), rows)
        return format_html('{}<p><a href="{}">All its runs</a></p>', listed, every)


def _rows(run: RetentionRun) -> str:
    if run.dry_run:
        return f"{run.planned_rows} rows would go" if run.planned_rows is not None else "nothing told"
    return f"{run.removed} rows went" if run.removed is not None else "no row counted"
