"""Runs under way: how far they are, on pages that renew themselves until they have ended."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from dualwrite.models import Run
from dualwrite.runs import is_dead

#: Seconds after which a page that shows a run under way is asked for again.
RENEWED_SECONDS = "2"


class OfRuns(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of runs; those of one under way renew themselves."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Every run; while one is under way the page renews itself."""
        running = request.method == "GET" and self.model._default_manager.filter(status=Run.RUNNING).exists()
        return renewed(super().changelist_view(request, extra_context), running)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One run; while it is under way the page renews itself."""
        row = self.get_object(request, object_id) if request.method == "GET" else None
        running = row is not None and row.status == Run.RUNNING
        return renewed(super().change_view(request, object_id, form_url, extra_context), running)

    @admin.display(description="status", ordering="status")
    def standing(self, row: Run) -> str:
        """How it ended, or how far it is."""
        return standing(row)


def standing(row: Run) -> str:
    """How a run ended, or how far it is; raises StoreUnreachable."""
    if row.status != Run.RUNNING:
        return row.status
    if is_dead(row):
        return "its process died; the next run closes it"
    return f"running{f', {_reached(row.progress)}' if row.progress else ''}"


def renewed(answer: HttpResponse, running: bool) -> HttpResponse:
    """The answer, asked for again soon while something runs."""
    if running:
        answer["Refresh"] = RENEWED_SECONDS
    return answer


def _reached(progress: dict[str, Any]) -> str:
    total = f" of about {progress['total']}" if progress.get("total") else ""
    left = progress.get("eta_seconds")
    eta = f", {left:.0f} s left" if left is not None else ""
    return f"{progress['phase']}: {progress['rows']}{total} rows, {progress['rows_per_second']}/s{eta}"
