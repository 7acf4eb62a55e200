"""Conditions of a policy as rows of a form: column, comparison, value. What they mean is told by `conditions.parse`."""

from collections.abc import Mapping
from typing import Any

from django import forms

from dualwrite.retention.conditions import Is
from dualwrite.retention.subject import all_subjects

#: Empty rows below those that are there.
SPARE = 3
PARTS = ("column", "is", "value")


class ConditionsWidget(forms.Widget):
    """A row for each condition, and some more."""

    template_name = "admin/dualwrite/retention/conditions.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """With the choices of the declared tables."""
        known = [*(value or []), *([{}] * SPARE)]
        rows = [{part: _text(item.get(part)) for part in PARTS} for item in known]
        tables = [(subject.name, subject.filters) for subject in all_subjects() if subject.filters]
        own = {"rows": rows, "tables": tables, "comparisons": [(how.value, _label(how)) for how in Is]}
        return {**super().get_context(name, None, attrs), **own}

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[dict[str, Any]]:
        """The rows that say something."""
        found = []
        number = 0
        while f"{name}-{number}-column" in data:
            column, how, value = (str(data.get(f"{name}-{number}-{part}", "")) for part in PARTS)
            number += 1
            if column or how or value:
                found.append(_condition(column, how, value.replace("\r\n", "\n")))
        return found

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Whether the form had no rows at all."""
        return f"{name}-0-column" not in data


class ConditionsField(forms.Field):
    """A list of conditions, in the form in which a policy keeps them."""

    widget = ConditionsWidget

    def to_python(self, value: Any) -> list[dict[str, Any]]:
        """As the widget gives it."""
        return list(value or [])

    def has_changed(self, initial: Any, data: Any) -> bool:
        """A number and its text are the same condition."""
        return _plain(initial or []) != _plain(data or [])


def _condition(column: str, how: str, value: str) -> dict[str, Any]:
    """An empty value is none: compared with nothing at all, too many rows would be meant."""
    own = {"column": column, "is": how}
    if not value:
        return own
    several = how in (Is.IN, Is.NOT_IN)
    return {**own, "value": [line for line in value.split("\n") if line] if several else value}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_text(one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _plain(data: list[dict[str, Any]]) -> list[list[str]]:
    return [[_text(item.get(part)) for part in PARTS] for item in data]


def _label(how: Is) -> str:
    more = {"list": " (one value a line)", "none": " (no value)"}
    return f"{how.value.replace('_', ' ')}{more.get(how.takes, '')}"
