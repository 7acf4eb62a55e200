"""Validations: what each found, how far one under way is (pages renew themselves then), and a way to stop it."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dualwrite.admin.reading import OfStream, Operated, ReadOnly, readable
from dualwrite.admin.running import OfRuns
from dualwrite.exceptions import DualWriteError
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.switch import Actor
from dualwrite.validation.run import cancel


@admin.register(ValidationRun)
class ValidationRunAdmin(OfStream, Operated, ReadOnly, OfRuns):
    """Every validation."""

    list_display = (
        "id",
        "stream_page",
        "level",
        "standing",
        "started_at",
        "finished_at",
        "authority_rows",
        "mirror_rows",
        "differences_found",
        "unsettled",
    )
    list_filter = ("status", "stream", "level", "started_at")
    search_fields = ("stream", "error", "owner")
    actions = ("cancel_runs",)
    readonly_fields = (
        "stream_page",
        "standing",
        "fields_shown",
        "violations_shown",
        "configuration_shown",
        "snapshots_shown",
        "rules_shown",
        "repair_shown",
        "differences_shown",
    )
    fields = (
        ("stream_page", "level", "scope", "standing"),
        ("started_at", "finished_at", "seconds", "rows_per_second"),
        ("owner", "resumes", "cancel_asked_by"),
        ("authority", "generation", "snapshots_shown"),
        ("authority_rows", "mirror_rows", "matched"),
        ("missing_in_mirror", "extra_in_mirror", "field_mismatch", "unsettled", "relay_stuck"),
        "error",
        "cut_short",
        ("passed_thresholds", "violations_shown"),
        "fields_shown",
        "rules_shown",
        "repair_shown",
        "differences_shown",
        "configuration_shown",
    )

    @admin.action(description="Cancel the selected runs", permissions=["operate"])
    def cancel_runs(self, request: HttpRequest, chosen: QuerySet[ValidationRun]) -> None:
        """Ask each to stop, as `run_validation --cancel` does."""
        who = Actor(request.user.get_username(), "cancelled in the admin")
        for number in chosen.values_list("pk", flat=True):
            try:
                run = cancel(number, who)
            except DualWriteError as exc:
                messages.error(request, str(exc))
            else:
                asked = run.status == ValidationStatus.RUNNING
                messages.success(request, f"Validation run {number}: {'asked to stop' if asked else run.error}")

    @admin.display(description="differences")
    def differences_found(self, row: ValidationRun) -> int:
        """Keys that differ, of whatever kind."""
        return row.found

    @admin.display(description="records different in each field")
    def fields_shown(self, row: ValidationRun) -> SafeString | str:
        """The counts, readable."""
        return readable(row.fields)

    @admin.display(description="thresholds exceeded")
    def violations_shown(self, row: ValidationRun) -> SafeString | str:
        """The violations, readable."""
        return readable(row.violations)

    @admin.display(description="exceptions from the stream's rules")
    def rules_shown(self, row: ValidationRun) -> SafeString | str:
        """The findings, readable."""
        return readable(row.rules)

    @admin.display(description="run with")
    def configuration_shown(self, row: ValidationRun) -> SafeString | str:
        """Configuration and thresholds, readable."""
        return readable({**row.configuration, **({"thresholds": row.thresholds} if row.thresholds else {})})

    @admin.display(description="stores looked at")
    def snapshots_shown(self, row: ValidationRun) -> SafeString | str:
        """When each store was looked at."""
        return readable(row.snapshots)

    @admin.display(description="repair")
    def repair_shown(self, row: ValidationRun) -> SafeString | str:
        """What was repaired, readable."""
        return readable(row.repair)

    @admin.display(description="the first differing keys")
    def differences_shown(self, row: ValidationRun) -> SafeString | str:
        """The differences, readable."""
        return readable(row.differences)
