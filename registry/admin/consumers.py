"""Consumers in the admin: who still calls the old contract, which reads differed, which differences are known."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString

from dualwrite.admin import ReadOnly
from dualwrite.admin.reading import readable
from dualwrite.stream import all_streams, stream_named
from registry.admin.audited import Audited
from registry.admin.logs import Log
from registry.models import Change, ConsumerCalls, IgnoreRule, ReadMismatch

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


@admin.register(ConsumerCalls)
class ConsumerCallsAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """How often who called which contract, by day."""

    list_display = ("day", "consumer", "contract", "calls", "last_at")
    list_filter = ("contract", "day", "consumer")
    search_fields = ("consumer",)


@admin.register(ReadMismatch)
class ReadMismatchAdmin(Log):
    """Records that were told otherwise by the other store."""

    list_display = ("at", "stream", "key", "fields_differing", "consumer", "stage", "served_by")
    list_filter = ("stream", "stage", "served_by", "at")
    search_fields = ("key", "consumer")
    readonly_fields = ("fields_differing", "served_shown", "other_shown")
    fields = (*list_display, "served_shown", "other_shown")

    @admin.display(description="fields")
    def fields_differing(self, row: ReadMismatch) -> str:
        """Which fields differ."""
        return ", ".join(row.fields)

    @admin.display(description="served")
    def served_shown(self, row: ReadMismatch) -> SafeString | str:
        """The record that was told."""
        return readable(row.served)

    @admin.display(description="the other store's")
    def other_shown(self, row: ReadMismatch) -> SafeString | str:
        """The record of the other store."""
        return readable(row.other)


@admin.register(Change)
class ChangeAdmin(Log):
    """What consumers are told that changed."""

    list_display = ("id", "at", "instrument_key", "index_id", "position")
    list_filter = ("at",)
    search_fields = ("instrument_key", "index_id")


class IgnoreRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule about fields that there are."""

    stream = forms.ChoiceField(choices=lambda: [(stream.name, stream.name) for stream in all_streams()])

    def clean(self) -> Any:
        """Every named field is one of the stream's."""
        data = super().clean() or {}
        fields, stream = data.get("fields"), data.get("stream")
        if stream and fields is not None:
            valid = [field.name for field in stream_named(stream).fields]
            if not isinstance(fields, list) or any(name not in valid for name in fields):
                self.add_error("fields", f"Valid: a list of {', '.join(valid)}.")
        return data


@admin.register(IgnoreRule)
class IgnoreRuleAdmin(Audited):
    """Known differences."""

    form = IgnoreRuleForm
    list_display = ("name", "stream", "fields_covered", "key_contains", "until", "reason")
    list_filter = ("stream", "until")
    search_fields = ("name", "reason")

    @admin.display(description="fields")
    def fields_covered(self, row: IgnoreRule) -> str:
        """Which fields it covers."""
        return ", ".join(row.fields) or "whatever differs"
