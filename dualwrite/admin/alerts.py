"""Alerts: what fires, with its history and messages, to be acknowledged or silenced, never edited."""

from collections.abc import Callable
from datetime import timedelta

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from dualwrite.admin.reading import Operated, ReadOnly
from dualwrite.exceptions import DualWriteError
from dualwrite.models import Alert, AlertChange, AlertDelivery
from dualwrite.monitoring.alerts.operate import acknowledge, silence
from dualwrite.switch import Actor

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.

HOURS = (1, 4, 12, 24, 168)


class QuietForm(ActionForm):
    """An action with its reason, and for how long."""

    reason = forms.CharField(required=False, label="because")
    hours = forms.TypedChoiceField(
        coerce=int, required=False, label="for", choices=[(hours, f"{hours} h") for hours in HOURS]
    )


class _Shown(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Rows of an alert, to be read."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Nobody adds any by hand."""
        return False


class ChangeInline(_Shown):
    """What became of it."""

    model = AlertChange
    fields = ("at", "before", "after", "by", "reason")


class DeliveryInline(_Shown):
    """Who was told."""

    model = AlertDelivery
    fields = ("channel", "event", "state", "attempts", "made_at", "next_at", "sent_at", "error")


@admin.register(Alert)
class AlertAdmin(Operated, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What rules found; nothing but time and a fine value ends it."""

    list_display = ("id", "rule", "subject", "severity", "state", "value", "why", "since", "silenced_until")
    list_filter = ("state", "severity", "rule")
    search_fields = ("rule__name", "subject", "why")
    list_select_related = ("rule",)
    inlines = (ChangeInline, DeliveryInline)
    action_form = QuietForm
    actions = ("acknowledge", "silence")

    @admin.action(description="Acknowledge: somebody sees to it, because", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Alert]) -> None:
        """As `alerts --acknowledge` does."""
        _each(request, chosen, acknowledge)

    @admin.action(description="Silence: tell nobody for so long, because", permissions=["operate"])
    def silence(self, request: HttpRequest, chosen: QuerySet[Alert]) -> None:
        """As `alerts --silence` does."""
        try:
            hours = timedelta(hours=int(request.POST.get("hours") or 0))
        except (ValueError, OverflowError):
            hours = timedelta(0)
        _each(request, chosen, lambda number, actor: silence(number, hours, actor))


def _each(request: HttpRequest, chosen: QuerySet[Alert], done: Callable[[int, Actor], Alert]) -> None:
    actor = Actor(request.user.get_username(), request.POST.get("reason", "").strip())
    for number in chosen.values_list("pk", flat=True):
        try:
            alert = done(number, actor)
        except DualWriteError as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, f"Alert {number} ({alert}) is {alert.state}.")
