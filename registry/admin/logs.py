"""The domain's logs: they are read, never edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path
from django.utils.safestring import SafeString

from dualwrite.admin import ReadOnly
from dualwrite.admin.reading import readable
from registry.admin import importing
from registry.models import AuditLog, BrokerApiLog, IngestionScratch

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


class Log(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that become many: what is asked for is counted, not the whole table as well."""

    show_full_result_count = False


@admin.register(AuditLog)
class AuditLogAdmin(Log):
    """Who changed which business data."""

    list_display = ("at", "actor", "action", "object_type", "object_key")
    list_filter = ("action", "object_type", "at")
    search_fields = ("actor", "object_key", "request_id")
    readonly_fields = ("before_shown", "after_shown")
    fields = ("at", "actor", "action", "object_type", "object_key", "request_id", *readonly_fields)

    @admin.display(description="before")
    def before_shown(self, row: AuditLog) -> SafeString | str:
        """How it was, readable."""
        return readable(row.before)

    @admin.display(description="after")
    def after_shown(self, row: AuditLog) -> SafeString | str:
        """How it became, readable."""
        return readable(row.after)


@admin.register(IngestionScratch)
class IngestionScratchAdmin(Log):
    """The rows of imported files, and what became of them."""

    change_list_template = "admin/registry/ingestionscratch/change_list.html"
    list_display = ("loaded_at", "file", "line", "outcome", "reason")
    list_filter = ("outcome", "loaded_at")
    search_fields = ("file", "reason", "content")
    readonly_fields = ("content_shown",)
    fields = ("loaded_at", "file", "line", "outcome", "reason", *readonly_fields)

    def get_urls(self) -> list[Any]:
        """Also the page that imports a file."""
        view = self.admin_site.admin_view(lambda request: importing.page(self.admin_site, request))
        return [path("import/", view, name="registry_ingestionscratch_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Offer that page to whoever may use it."""
        may = request.user.has_perm(importing.PERMISSION)
        return super().changelist_view(request, {**(extra_context or {}), "may_import": may})

    @admin.display(description="content")
    def content_shown(self, row: IngestionScratch) -> SafeString | str:
        """The row as it was read, readable."""
        return readable(row.content)


@admin.register(BrokerApiLog)
class BrokerApiLogAdmin(Log):
    """What brokers were asked, and how they answered."""

    list_display = ("called_at", "broker", "operation", "instrument_key", "status", "milliseconds", "error")
    list_filter = ("status", "broker", "called_at")
    search_fields = ("instrument_key", "error")
    readonly_fields = ("request_shown",)
    fields = ("called_at", "broker", "operation", "instrument_key", "status", "milliseconds", "error", *readonly_fields)

    @admin.display(description="request")
    def request_shown(self, row: BrokerApiLog) -> SafeString | str:
        """What was asked, readable."""
        return readable(row.request)
