"""Which rows of a backup are to come back."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget

from dualwrite.retention.restore import Asked, Conflict

MOMENT = "UTC, a day such as 2026-01-31 or a moment such as 2026-01-31 12:00."
MEANINGS = {
    Conflict.FAIL: "restore nothing, and say how many there are",
    Conflict.SKIP: "leave those as they are, restore the others",
    Conflict.OVERWRITE: "make those as they were in the backup, and restore the others",
}


class RestoreForm(forms.Form):
    """Everything unless something is said."""

    part = forms.IntegerField(required=False, min_value=1, help_text="Only this part, from 1; empty: all parts.")
    keys = forms.CharField(
        required=False,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        help_text="Only rows of these keys, one a line: a row's own key, or a value that holds can name.",
    )
    since = forms.DateTimeField(required=False, label="From", help_text=f"By the policy's date. {MOMENT}")
    until = forms.DateTimeField(required=False, label="To", help_text=f"Only rows from before. {MOMENT}")
    on_conflict = forms.ChoiceField(
        choices=[(how.value, f"{how.value}: {meaning}") for how, meaning in MEANINGS.items()],
        label="Rows that are in the table already",
    )

    def clean(self) -> dict[str, Any]:
        """A time ends after it begins."""
        data: dict[str, Any] = super().clean() or {}
        since, until = data.get("since"), data.get("until")
        if since and until and until <= since:
            self.add_error("until", "It ends before it begins, so no row would be meant.")
        return data

    def asked(self, *, dry_run: bool) -> Asked:
        """What was asked for."""
        data = self.cleaned_data
        keys = tuple(line.strip() for line in data["keys"].splitlines() if line.strip())
        return Asked(data["part"], keys, data["since"], data["until"], Conflict(data["on_conflict"]), dry_run)
