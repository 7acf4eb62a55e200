"""The form of a policy: choices from the declared tables, every field checked by what a run checks it by."""

from typing import Any

from django import forms

from dualwrite.admin.retention.conditions_field import ConditionsField
from dualwrite.exceptions import DualWriteError
from dualwrite.models import RetentionPolicy
from dualwrite.retention.editing import check
from dualwrite.retention.exceptions import InvalidPolicy
from dualwrite.retention.subject import all_subjects

FIELDS = (
    "name",
    "table",
    "action",
    "date",
    "days",
    "conditions",
    "batch_size",
    "backup",
    "max_rows",
    "max_percent",
    "window_begins",
    "window_ends",
)


NAMES = "Letters, digits, and - _ . only, as commands name it. It stays."


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an operator may say of a policy; whether it is enabled and approved is said by verbs."""

    conditions = ConditionsField(required=False, help_text="Which rows only; all of these must hold. Empty: every row.")

    class Meta:
        model = RetentionPolicy
        fields = FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            self.fields["name"] = forms.RegexField(
                r"\A[\w.-]+\Z", max_length=100, help_text=NAMES, error_messages={"invalid": NAMES}
            )
        if "table" in self.fields:  # whoever may only look has no fields
            self.fields["table"] = _choice("table", [(s.name, s.name) for s in all_subjects()], self.fields["table"])
            self.fields["date"] = _choice("date", _named(lambda s: s.dates), self.fields["date"])

    def clean(self) -> dict[str, Any]:
        """A window has two ends, a delete has a backup; the rest is said by the code that runs it."""
        data: dict[str, Any] = super().clean() or {}
        begins, ends = data.get("window_begins"), data.get("window_ends")
        if bool(begins) != bool(ends) and not {"window_begins", "window_ends"} & self.errors.keys():
            self.add_error("window_ends" if begins else "window_begins", "A window has a beginning and an end.")
        if data.get("action") == RetentionPolicy.Action.DELETE and not data.get("backup"):
            self.add_error("backup", "Rows are never deleted without a backup.")
        return data

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # not in the stubs; the hook for what needs the instance
        if self.errors:
            return
        try:
            check(self.instance)
        except InvalidPolicy as exc:
            self.add_error(exc.field if exc.field in self.fields else None, _sentence(exc))
        except DualWriteError as exc:
            self.add_error(None, str(exc))

    def validate_constraints(self) -> None:
        """Only where nothing was found: the database says the same of the same fields, in other words."""
        if not self.errors:
            super().validate_constraints()


def _sentence(exc: InvalidPolicy) -> str:
    return f"{exc.detail[0].upper()}{exc.detail[1:]}."


def _named(names: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Choices of each table, under its name."""
    return [(subject.name, [(name, name) for name in names(subject)]) for subject in all_subjects()]


def _choice(name: str, choices: list[Any], before: forms.Field) -> forms.ChoiceField:
    return forms.ChoiceField(choices=[("", "---------"), *choices], label=before.label, help_text=before.help_text)
