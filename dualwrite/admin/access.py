"""API keys: made, shown once, revoked; by superusers, as a key may be one of an admin's."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from dualwrite.access import Clearance, keys
from dualwrite.admin.reading import ReadOnly
from dualwrite.exceptions import DualWriteError
from dualwrite.models import ApiKey
from dualwrite.switch import Actor

# ModelAdmin takes its type argument in the stubs only, hence the ignored type-arg below.

T = TypeVar("T")
#: Under this name the request has the key that was made.
MADE = "dualwrite.made"


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """Whose the new key is, and what it may do."""

    class Meta:
        model = ApiKey
        fields: ClassVar = ["name", "role", "expires_at"]

    name = forms.CharField(max_length=100, help_text=ApiKey._meta.get_field("name").help_text)
    role = forms.ChoiceField(choices=[(c.value, c.value) for c in Clearance])

    def clean_name(self) -> str:
        """By the engine's rule."""
        return _by_rule(keys.require_name, str(self.cleaned_data["name"]))

    def clean_expires_at(self) -> datetime | None:
        """Likewise."""
        until: datetime | None = self.cleaned_data["expires_at"]
        return _by_rule(keys.require_later, until)


def _by_rule(rule: Callable[[T], None], value: T) -> T:
    try:
        rule(value)
    except DualWriteError as exc:
        raise ValidationError(str(exc)) from exc
    return value


class ReasonForm(ActionForm):
    """An action with its reason."""

    reason = forms.CharField(required=False, label="because")


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every key there ever was; no key itself is kept, so a lost one is revoked and another one made."""

    form = KeyForm
    action_form = ReasonForm
    actions = ("revoke",)
    list_display = ("name", "role", "prefix", "created_at", "created_by", "last_used_at", "expires_at", "refused")
    list_filter = ("role", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "prefix")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may everything."""
        return bool(request.user.is_active and request.user.is_superuser)

    has_revoke_permission = has_add_permission

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """As the command does; the page that follows shows the key."""
        made = keys.create(obj.name, Clearance(obj.role), Actor(request.user.get_username()), obj.expires_at)
        obj.pk = made.row.pk
        request.META[MADE] = made

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The key, once, in this answer alone: a message would be kept in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"API key {obj.name}",
            "opts": self.opts,
            "made": request.META[MADE],
        }
        answer = TemplateResponse(request, "admin/dualwrite/apikey/made.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.action(description="Revoke the selected keys at once, because", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> None:
        """As `revoke_api_key` does."""
        who = Actor(request.user.get_username(), request.POST.get("reason", "").strip())
        for name in chosen.values_list("name", flat=True):
            try:
                keys.revoke(name, who)
            except DualWriteError as exc:
                messages.error(request, str(exc))
            else:
                messages.success(request, f"API key {name} is refused from now on.")

    @admin.display(description="refused, as")
    def refused(self, row: ApiKey) -> str:
        """Why it is of no use; a dash when it is."""
        return row.why_refused(timezone.now()) or "-"
