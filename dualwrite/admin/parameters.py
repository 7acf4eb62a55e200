"""Live parameters: what operators set, what the config service says, and every change of both."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from dualwrite.admin.reading import Operated, ReadOnly
from dualwrite.configuration.overriding import Set, override, take_back
from dualwrite.exceptions import DualWriteError
from dualwrite.models import ParameterChange, ParameterKnown, ParameterOverride
from dualwrite.parameters import all_parameters, parameter_named
from dualwrite.switch import Actor

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.


class OverrideForm(forms.ModelForm):  # type: ignore[type-arg]
    """Which parameter, what it is to be, and why."""

    class Meta:
        model = ParameterOverride
        fields: ClassVar = ["name", "value", "reason"]

    name = forms.ChoiceField(choices=lambda: [(p.name, f"{p.name}: {p.meaning}") for p in all_parameters()])
    value = forms.CharField()
    reason = forms.CharField(help_text="Why; kept with the change.")

    def clean(self) -> dict[str, Any]:
        """What the parameter itself says of the value."""
        found = super().clean() or {}
        name = found.get("name") or self.instance.pk
        if name and found.get("value"):
            try:
                parameter_named(name).read(found["value"])
            except DualWriteError as exc:
                raise ValidationError({"value": str(exc)}) from exc
        return found


class ReasonForm(ActionForm):
    """An action with its reason."""

    reason = forms.CharField(required=False, label="because")


@admin.register(ParameterOverride)
class ParameterOverrideAdmin(Operated, admin.ModelAdmin):  # type: ignore[type-arg]
    """What operators set: it counts before the environment, within seconds, in every process."""

    form = OverrideForm
    action_form = ReasonForm
    list_display = ("name", "value", "in_force", "by", "reason", "at")
    search_fields = ("name", "reason")
    actions = ("take_back",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may steer streams may set parameters."""
        return self.has_operate_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """The same."""
        return self.has_operate_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """An override is taken back, with a reason."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: object | None = None) -> tuple[str, ...]:
        """Another parameter is another override."""
        return ("name",) if obj else ()

    def save_model(self, request: HttpRequest, obj: ParameterOverride, form: Any, change: bool) -> None:
        """As the command does; nothing is saved here."""
        actor = Actor(request.user.get_username(), obj.reason)
        try:
            self._tell(request, override(obj.name, obj.value, actor))
        except DualWriteError as exc:
            messages.error(request, str(exc))

    @admin.action(description="Take back what was set, because of", permissions=["operate"])
    def take_back(self, request: HttpRequest, chosen: QuerySet[ParameterOverride]) -> None:
        """Let each be what it is without the override."""
        actor = Actor(request.user.get_username(), request.POST.get("reason", "").strip())
        for name in chosen.values_list("name", flat=True):
            try:
                self._tell(request, take_back(name, actor))
            except DualWriteError as exc:
                messages.error(request, str(exc))

    def _tell(self, request: HttpRequest, done: Set) -> None:
        messages.info(request, f"{done.change.name} is {done.reading.value} ({done.reading.origin})")
        for fault in (*done.reading.faults, *done.failed):
            messages.warning(request, fault)

    @admin.display(description="in force")
    def in_force(self, row: ParameterOverride) -> str:
        """What counts now, in this process."""
        try:
            reading = parameter_named(row.name).reading()
        except DualWriteError as exc:
            return str(exc)
        return f"{reading.value} ({reading.origin})"


@admin.register(ParameterKnown)
class ParameterKnownAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """What the config service said last."""

    list_display = ("name", "value", "since")
    search_fields = ("name",)


@admin.register(ParameterChange)
class ParameterChangeAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every change."""

    list_display = ("at", "name", "origin", "before", "after", "by", "reason")
    list_filter = ("origin", "name")
    search_fields = ("name", "by", "reason")
