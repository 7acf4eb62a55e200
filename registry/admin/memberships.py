"""Instruments, indices, memberships and their history; the old store's tables, where there is one."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db import models
from django.http import HttpRequest

from dualwrite.admin import ReadOnly
from dualwrite.stages import Store
from dualwrite.stores import present
from registry.admin.audited import Audited
from registry.models import Index, IndexMembership, IndexMembershipHistory, IndexMembershipHistoryArchive, Instrument
from registry.screener.models import ScreenerIndexMembership, ScreenerInstrument

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.

# Text columns hold single lines, where Django would show text areas, and a field left empty means that the
# value is not known: NULL, where Django would save '', which no rule for a format accepts.
ONE_LINE: "Mapping[type[models.Field[Any, Any]], Mapping[str, Any]]" = {
    models.TextField: {"widget": AdminTextInputWidget, "empty_value": None}
}


@admin.register(Instrument)
class InstrumentAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The registry's instruments."""

    list_display = ("instrument_key", "name", "mic", "isin", "currency", "country", "is_active")
    list_filter = ("exchange", "currency", "is_active")
    search_fields = ("instrument_key", "name", "isin", "figi")


@admin.register(Index)
class IndexAdmin(Audited):
    """The indices; their key is set once."""

    list_display = ("index_id", "name", "exchange", "country", "currency")
    search_fields = ("index_id", "name")
    formfield_overrides = ONE_LINE

    def get_readonly_fields(self, request: HttpRequest, obj: Index | None = None) -> tuple[str, ...]:
        """The key of an index that exists cannot be changed."""
        return ("index_id",) if obj else ()


@admin.register(IndexMembership)
class IndexMembershipAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Which index holds which instrument now."""

    list_display = ("index_id", "instrument_key", "weight", "sector", "date_added", "is_active")
    list_filter = ("index_id", "is_active")
    search_fields = ("instrument_key", "sector")


@admin.register(IndexMembershipHistory)
class IndexMembershipHistoryAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every version of every spell that is not archived."""

    list_display = ("index_id", "instrument_key", "spell", "recorded_at", "superseded_at", "source")
    list_filter = ("index_id", ("superseded_at", admin.EmptyFieldListFilter), "source")
    search_fields = ("instrument_key",)


@admin.register(IndexMembershipHistoryArchive)
class IndexMembershipHistoryArchiveAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The archived versions."""

    list_display = ("index_id", "instrument_key", "spell", "recorded_at", "superseded_at", "source", "archived_at")
    list_filter = ("index_id", ("superseded_at", admin.EmptyFieldListFilter), "archived_at")
    search_fields = ("instrument_key", "archived_by")
    show_full_result_count = False


class ScreenerInstrumentAdmin(Audited):
    """The old store's instruments."""

    list_display = ("__str__", "name", "isin", "currency", "country", "lot_size", "tick_size", "active")
    list_filter = ("exchange", "active")
    search_fields = ("symbol", "name", "isin")
    formfield_overrides = ONE_LINE


class ScreenerIndexMembershipAdmin(Audited):
    """The old store's memberships."""

    list_display = ("index_name", "exchange", "symbol", "weight", "sector", "effective_date")
    list_filter = ("index_name", "exchange")
    search_fields = ("symbol", "sector")
    formfield_overrides = ONE_LINE


if Store.SCREENER in present():
    admin.site.register(ScreenerInstrument, ScreenerInstrumentAdmin)
    admin.site.register(ScreenerIndexMembership, ScreenerIndexMembershipAdmin)
