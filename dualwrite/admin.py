"""What the engine keeps, in Django's admin: to be read, never edited: the verbs change it."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dualwrite.models import Audit, ParkedKey, StreamControl, ValidationRun

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


class ReadOnly:
    """Shows rows and offers no way to change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Nobody changes them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Nobody deletes them."""
        return False


def readable(value: Any) -> SafeString | str:
    """JSON as an indented block; a dash for nothing."""
    if value in (None, [], {}):
        return "-"
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre style="margin: 0; white-space: pre-wrap">{}</pre>', text)


@admin.register(StreamControl)
class StreamControlAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Stage and intent of each stream."""

    list_display = (
        "stream",
        "stage",
        "paused",
        "held_because",
        "brake_spent",
        "brake_since",
        "brake_lifted_until",
        "changed_at",
    )
    list_filter = ("stage", "paused")
    search_fields = ("stream", "held_because")


@admin.register(ParkedKey)
class ParkedKeyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys set aside, with their error; `dualwrite redrive` sends them again."""

    list_display = ("stream", "key", "error", "attempts", "first_parked_at", "last_parked_at")
    list_filter = ("stream", "last_parked_at")
    search_fields = ("key", "error")
    fields = ("stream", "key", "error", "attempts", "first_parked_at", "last_parked_at", "record_shown")
    readonly_fields = ("record_shown",)

    @admin.display(description="the authority's rows when it was parked")
    def record_shown(self, row: ParkedKey) -> SafeString | str:
        """The record, readable."""
        return readable(row.record)


@admin.register(ValidationRun)
class ValidationRunAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every validation."""

    list_display = (
        "id",
        "stream",
        "level",
        "status",
        "finished_at",
        "authority_rows",
        "mirror_rows",
        "differences_found",
        "unsettled",
    )
    list_filter = ("status", "stream", "level", "started_at")
    search_fields = ("stream", "error")
    fields = (
        ("stream", "level", "status"),
        ("started_at", "finished_at"),
        ("authority", "generation"),
        ("authority_rows", "mirror_rows"),
        ("missing_in_mirror", "extra_in_mirror", "field_mismatch", "unsettled"),
        "error",
        "differences_shown",
    )
    readonly_fields = ("differences_shown",)

    @admin.display(description="differences")
    def differences_found(self, row: ValidationRun) -> int:
        """Keys that differ, of whatever kind."""
        return row.missing_in_mirror + row.extra_in_mirror + row.field_mismatch

    @admin.display(description="the first differing keys")
    def differences_shown(self, row: ValidationRun) -> SafeString | str:
        """The differences, readable."""
        return readable(row.differences)


@admin.register(Audit)
class AuditAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Who changed what and why, in the registry."""

    list_display = ("at", "actor", "role_name", "verb", "stream", "reason")
    list_filter = ("verb", "stream", "at")
    search_fields = ("actor", "verb", "stream", "reason")
    readonly_fields = ("before_shown", "after_shown", "evidence_shown")
    fields = ("at", "actor", "role_name", "verb", "stream", "reason", *readonly_fields)
    # It only grows: count what is asked for, not the whole table as well.
    show_full_result_count = False

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
