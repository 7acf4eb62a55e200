"""How every component was, look by look."""

from django.contrib import admin

from dualwrite.admin.reading import ReadOnly
from dualwrite.models import HealthRecord


@admin.register(HealthRecord)
class HealthRecordAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What the looks of every five minutes found; what they add up to is at `run_health_checks --history`."""

    list_display = ("looked_at", "component", "subject", "status", "took", "error")
    list_filter = ("component", "status", "at")
    search_fields = ("subject", "error")
    fields = ("looked_at", "component", "subject", "status", "took", "error")
    readonly_fields = ("looked_at", "took")
    # Some hundred thousand rows in 90 days: how many there are in all is not worth a look at each of them.
    show_full_result_count = False

    @admin.display(description="at", ordering="at")
    def looked_at(self, row: HealthRecord) -> str:
        """When, to the second."""
        return f"{row.at:%Y-%m-%d %H:%M:%S %Z}"

    @admin.display(description="took", ordering="seconds")
    def took(self, row: HealthRecord) -> str:
        """How long the look took."""
        return f"{row.seconds:.3f} s"
