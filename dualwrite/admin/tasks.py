"""Runs of tasks: when, asked for by whom or what, on which worker, for how long, and what came of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from dualwrite.admin.reading import ReadOnly, readable
from dualwrite.admin.retention.shown import moment
from dualwrite.models import TaskRun

#: Whose numbers a task's results have, by the beginning of its name.
PAGES = {
    "dualwrite.validation.": "validationrun",
    "dualwrite.retention.drill": "drillrun",
    "dualwrite.retention.restore": "restorerun",
    "dualwrite.retention.": "retentionrun",
}


@admin.register(TaskRun)
class TaskRunAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every attempt at every occurrence."""

    list_display = ("id", "task", "status", "actor", "queued", "begun", "seconds_shown", "attempt", "worker", "links")
    list_filter = ("task", "status", "queued_at")
    search_fields = ("task", "slot", "actor", "sentence", "worker")
    readonly_fields = ("queued", "begun", "ended", "expires", "seconds_shown", "links", "result_shown", "message_shown")
    fields = (
        ("task", "status", "attempt"),
        "sentence",
        ("actor", "reason"),
        ("schedule", "slot"),
        ("queued", "begun", "ended", "seconds_shown", "expires"),
        "worker",
        "links",
        "result_shown",
        "message_shown",
    )

    @admin.display(description="queued", ordering="queued_at")
    def queued(self, row: TaskRun) -> str:
        """When it was queued, to the second."""
        return moment(row.queued_at)

    @admin.display(description="begun", ordering="started_at")
    def begun(self, row: TaskRun) -> str:
        """When it was begun, to the second."""
        return moment(row.started_at)

    @admin.display(description="ended")
    def ended(self, row: TaskRun) -> str:
        """When it ended, to the second."""
        return moment(row.finished_at)

    @admin.display(description="not begun after")
    def expires(self, row: TaskRun) -> str:
        """After when it is not begun any more."""
        return moment(row.expires_at)

    @admin.display(description="seconds")
    def seconds_shown(self, row: TaskRun) -> float | None:
        """How long it took."""
        return row.seconds

    @admin.display(description="runs")
    def links(self, row: TaskRun) -> SafeString | str:
        """The validations, retention runs, ... it made, as links."""
        page = next((page for start, page in PAGES.items() if row.task.startswith(start)), None)
        numbers = [(_address(page, number), number) for number in _numbers(row.result)] if page else []
        return format_html_join(", ", '<a href="{}">{}</a>', numbers) if numbers else "-"

    @admin.display(description="result")
    def result_shown(self, row: TaskRun) -> SafeString | str:
        """What it returned, readable."""
        return readable(row.result)

    @admin.display(description="message")
    def message_shown(self, row: TaskRun) -> SafeString | str:
        """What the worker was told, readable."""
        return readable(row.message)


def _address(page: str | None, number: int) -> str:
    return reverse(f"admin:dualwrite_{page}_change", args=[number])


def _numbers(result: Any) -> Iterator[int]:
    for part in result if isinstance(result, list) else [result]:
        if isinstance(part, Mapping) and part.get("run"):
            yield part["run"]
