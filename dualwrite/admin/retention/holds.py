"""Legal holds: added and released, never edited or deleted."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.http import HttpRequest
from django.utils import timezone

from dualwrite.admin.forms import REASON_NEEDED
from dualwrite.admin.reading import ReadOnly
from dualwrite.admin.retention.pages import OfVerbs
from dualwrite.admin.retention.restore_form import MOMENT
from dualwrite.admin.retention.shown import day
from dualwrite.admin.retention.verbs import Done, Question, Verb, actor
from dualwrite.exceptions import DualWriteError, UnknownName
from dualwrite.models import LegalHold
from dualwrite.retention import holds
from dualwrite.retention.subject import all_subjects
from dualwrite.switch import Actor


class HoldForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is held, until when, and why."""

    table = forms.ChoiceField()
    name = forms.ChoiceField(required=False, help_text="What the value names; empty: the whole table.")
    until = forms.DateTimeField(required=False, help_text=f"When it ends by itself; empty: when released. {MOMENT}")
    reason = forms.CharField(widget=AdminTextareaWidget(attrs={"rows": 3}), error_messages={"required": REASON_NEEDED})

    class Meta:
        model = LegalHold
        fields = ("table", "name", "value", "until", "reason")
        widgets = {"value": forms.TextInput(attrs={"class": "vTextField"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "table" in self.fields:  # whoever may only look has no fields
            declared = [(subject.name, list(subject.holds)) for subject in all_subjects()]
            named = [(table, [(name, name) for name in names]) for table, names in declared if names]
            self._choose("table", [("", "---------"), *((table, table) for table, _ in declared)])
            self._choose("name", [("", "the whole table"), *named])

    def _choose(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  as declared above
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        """By the rules of the hold itself."""
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        try:
            holds.require_holdable(data["table"], data["name"], data["value"], data["until"])
        except UnknownName as exc:
            self.add_error("name", str(exc))
        except DualWriteError as exc:
            until = data["until"] is not None and data["until"] <= timezone.now()
            self.add_error("until" if until else "value", str(exc))
        return data

    def validate_constraints(self) -> None:
        """Only where nothing was found: the database says the same in other words."""
        if not self.errors:
            super().validate_constraints()


def _why_not_release(row: LegalHold) -> str:
    return "it was released already" if row.released_at else ""


def _release(row: LegalHold, who: Actor, data: Mapping[str, Any]) -> Done:
    holds.release(row.pk, who)
    return Done(f"Hold {row.pk} is released: {row}.")


def _question(row: LegalHold) -> Question:
    why_not = _why_not_release(row)
    return Question(
        says=[f"The hold of {row} by {row.by} ends: {row.reason}"],
        risks=["From then on the next run of a policy may remove the rows, and old backups of the table may expire."],
        blocked=[f"{why_not[0].upper()}{why_not[1:]}."] if why_not else [],
        command=f"manage.py legal_hold --release {row.pk} --reason WHY",
    )


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnly, OfVerbs):
    """Every hold there ever was."""

    form = HoldForm
    verbs = (
        Verb("release", "Release", "let its rows go again", _release, _question, why_not=_why_not_release, stops=True),
    )
    list_display = ("id", "what", "in_force", "reason", "by", "since_day", "until_day")
    list_filter = ("table", ("released_at", admin.EmptyFieldListFilter))
    search_fields = ("table", "name", "value", "reason", "by")
    shown = ("in_force", "by", "since", "released_at", "released_by", "released_because")

    class Media:
        css = {"all": ("dualwrite/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the verbs may add one."""
        return self.has_operate_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Of one that is there, also what became of it."""
        own = ("table", "name", "value", "until", "reason")
        return (*own, *self.shown) if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nothing is edited."""
        return self.shown if obj else ()

    def save_model(self, request: HttpRequest, obj: LegalHold, form: Any, change: bool) -> None:
        """Hold it, as the command does."""
        made = holds.hold(obj.table, actor(request, obj.reason), obj.name, obj.value, obj.until)
        obj.pk, obj.by = made.pk, made.by

    @admin.display(description="what", ordering="table")
    def what(self, row: LegalHold) -> str:
        """What is held."""
        return str(row)

    @admin.display(description="since", ordering="since")
    def since_day(self, row: LegalHold) -> str:
        """The day."""
        return day(row.since)

    @admin.display(description="until", ordering="until")
    def until_day(self, row: LegalHold) -> str:
        """The day on which it ends by itself."""
        return day(row.until, "released")

    @admin.display(description="in force", boolean=True)
    def in_force(self, row: LegalHold) -> bool:
        """Whether it keeps anything now."""
        return row.released_at is None and (row.until is None or row.until > timezone.now())
