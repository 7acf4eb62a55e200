"""Transitions, parked keys and the audit: lists and rows to be read, and a way to send parked keys again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dualwrite.admin.reading import OfStream, Operated, ReadOnly, gates_table, readable
from dualwrite.control.parked import redrive
from dualwrite.exceptions import DualWriteError
from dualwrite.models import Audit, ParkedKey, StageTransition
from dualwrite.stream import stream_named
from dualwrite.switch import Actor

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


@admin.register(StageTransition)
class StageTransitionAdmin(OfStream, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every step from a stage to another, with the gates as they were found."""

    list_display = ("step", "stream_page", "ending", "stall", "actor", "begun")
    list_filter = ("status", "stream", "forced", "started_at")
    search_fields = ("stream", "actor", "reason", "error")
    readonly_fields = ("stream_page", "step", "ending", "begun", "ended", "stall", "gates_shown")
    fields = (
        "stream_page",
        "step",
        "ending",
        "actor",
        "reason",
        ("begun", "ended"),
        ("epoch", "stall"),
        "error",
        "gates_shown",
    )

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    @admin.display(description="step", ordering="after")
    def step(self, row: StageTransition) -> str:
        """The verb and both stages."""
        return row.sentence

    @admin.display(description="status", ordering="status")
    def ending(self, row: StageTransition) -> str:
        """How it ended, and whether closed gates were overridden."""
        return f"{row.get_status_display().lower()}{', forced' if row.forced else ''}"

    @admin.display(description="begun", ordering="started_at")
    def begun(self, row: StageTransition) -> str:
        """When it was begun, to the second."""
        return f"{row.started_at:%Y-%m-%d %H:%M:%S %Z}"

    @admin.display(description="ended", ordering="finished_at")
    def ended(self, row: StageTransition) -> str:
        """When it was ended, to the second."""
        return f"{row.finished_at:%Y-%m-%d %H:%M:%S %Z}" if row.finished_at else "-"

    @admin.display(description="writers waited", ordering="stall_seconds")
    def stall(self, row: StageTransition) -> str:
        """In milliseconds, where they had to."""
        return "-" if row.stall_seconds is None else f"{row.stall_seconds * 1000:.0f} ms"

    @admin.display(description="gates as they were found")
    def gates_shown(self, row: StageTransition) -> str:
        """The gates with their evidence."""
        return gates_table(row.gates) if row.gates else "-"


@admin.register(ParkedKey)
class ParkedKeyAdmin(OfStream, Operated, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys set aside, with their error; those that are selected can be sent again."""

    actions = ("redrive_keys",)

    list_display = ("key", "stream_page", "error", "attempts", "next_attempt_at", "first_parked_at", "last_parked_at")
    list_filter = ("stream", "last_parked_at")
    search_fields = ("stream", "key", "error")
    readonly_fields = ("stream_page", "record_shown")
    fields = (
        "stream_page",
        "key",
        "error",
        "attempts",
        "next_attempt_at",
        "first_parked_at",
        "last_parked_at",
        "record_shown",
    )

    @admin.action(description="Send the selected keys again", permissions=["operate"])
    def redrive_keys(self, request: HttpRequest, chosen: QuerySet[ParkedKey]) -> None:
        """Note them again, as `dualwrite redrive --key` does."""
        who = Actor(request.user.get_username(), "sent again in the admin")
        keys: dict[str, list[str]] = {}
        for stream, key in chosen.values_list("stream", "key"):
            keys.setdefault(stream, []).append(key)
        for name, of_stream in keys.items():
            try:
                count = redrive(stream_named(name), who, of_stream)
            except DualWriteError as exc:
                messages.error(request, str(exc))
            else:
                messages.success(request, f"Stream {name}: {count} keys noted again; the relay tries them now.")

    @admin.display(description="the authority's rows when it was parked")
    def record_shown(self, row: ParkedKey) -> SafeString | str:
        """The record, readable."""
        return readable(row.record)


@admin.register(Audit)
class AuditAdmin(OfStream, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who changed what and why, in the registry."""

    list_display = ("at", "actor", "role_name", "verb", "stream_page", "reason")
    list_filter = ("verb", "stream", "at")
    search_fields = ("actor", "verb", "stream", "reason")
    readonly_fields = ("stream_page", "transition_page", "before_shown", "after_shown", "evidence_shown")
    fields = ("at", "actor", "role_name", "verb", "reason", *readonly_fields)
    # It only grows: count what is asked for, not the whole table as well.
    show_full_result_count = False

    @admin.display(description="transition")
    def transition_page(self, row: Audit) -> SafeString | str:
        """The transition it was about, as a link; a dash where there was none."""
        number = (row.evidence or {}).get("transition")
        if not isinstance(number, int):
            return "-"
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:dualwrite_stagetransition_change", args=[number]), number
        )

    @admin.display(description="before")
    def before_shown(self, row: Audit) -> SafeString | str:
        """The state before, readable."""
        return readable(row.before)

    @admin.display(description="after")
    def after_shown(self, row: Audit) -> SafeString | str:
        """The state after, readable."""
        return readable(row.after)

    @admin.display(description="evidence")
    def evidence_shown(self, row: Audit) -> SafeString | str:
        """The evidence, readable."""
        return readable(row.evidence)
