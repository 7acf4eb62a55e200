"""Rules and channels of alerts, to be edited; every change stands in the audit."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from dualwrite import switch
from dualwrite.admin.reading import Operated
from dualwrite.models import AlertChannel, AlertRule, Measure
from dualwrite.monitoring.alerts.trial import try_out
from dualwrite.stages import Store
from dualwrite.switch import Actor

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


class _Edited(Operated):
    """Rows that whoever may steer streams edits and switches off, never deletes; the audit has each change."""

    audited: ClassVar = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may steer streams."""
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """The same."""
        return self.has_operate_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """What was told by it names it."""
        return False

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Save it, and say in the audit what it was and is."""
        obj.save()
        fields = {name: [form.initial.get(name), form.cleaned_data.get(name)] for name in form.changed_data}
        evidence = {"name": str(obj), "changed" if change else "added": fields}
        switch.audit(Store.REGISTRY, Actor(request.user.get_username()), self.audited, None, evidence)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule; its measurement says what it means and in which unit."""

    class Meta:
        model = AlertRule
        fields: ClassVar = [
            "name",
            "measure",
            "comparison",
            "threshold",
            "for_seconds",
            "cool_down_seconds",
            "severity",
            "runbook",
            "enabled",
        ]

    name = forms.CharField()
    measure = forms.ChoiceField(choices=[(m.value, f"{m.value}: {m.label} ({m.unit.value})") for m in Measure])
    runbook = forms.CharField(help_text="The heading in docs/runbook.md, as in a link.")


@admin.register(AlertRule)
class AlertRuleAdmin(_Edited, admin.ModelAdmin):  # type: ignore[type-arg]
    """When somebody is told; it counts from the next evaluation on."""

    audited = "change alert rule"
    form = RuleForm
    list_display = ("name", "measure", "comparison", "threshold", "unit", "for_seconds", "severity", "enabled")
    list_filter = ("severity", "enabled")
    search_fields = ("name", "measure")

    @admin.display(description="unit")
    def unit(self, row: AlertRule) -> str:
        """Of the threshold."""
        return Measure(row.measure).unit.value


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A channel; no field is for a secret, only for the name of the variable that has it."""

    class Meta:
        model = AlertChannel
        fields: ClassVar = ["name", "kind", "address", "payload", "secret_variable", "least_severity", "enabled"]

    name = forms.CharField()
    address = forms.CharField(required=False, help_text=AlertChannel._meta.get_field("address").help_text)
    secret_variable = forms.CharField(
        required=False, help_text=AlertChannel._meta.get_field("secret_variable").help_text
    )

    def clean_address(self) -> str:
        """Of a webhook a URL, unless the environment has it."""
        address = str(self.cleaned_data["address"]).strip()
        is_url = address.startswith(("http://", "https://", "$"))
        if self.cleaned_data.get("kind") == AlertChannel.Kind.WEBHOOK and not is_url:
            raise ValidationError("A webhook needs a URL, or $ALERT_NAME.")
        return address


@admin.register(AlertChannel)
class AlertChannelAdmin(_Edited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Over which ways people are told."""

    audited = "change alert channel"
    form = ChannelForm
    list_display = ("name", "kind", "least_severity", "enabled", "failures", "error", "delivered_at")
    list_filter = ("kind", "enabled")
    actions = ("try_out",)

    @admin.action(description="Send a message to try the selected channels", permissions=["operate"])
    def try_out(self, request: HttpRequest, chosen: QuerySet[AlertChannel]) -> None:
        """Send one now; a channel that takes it counts as mended."""
        for channel in chosen:
            why = try_out(channel, request.user.get_username())
            if why:
                messages.error(request, f"{channel.name}: {why}")
            else:
                messages.success(request, f"{channel.name} took a message.")
