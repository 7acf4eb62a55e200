"""What is sent when a verb is confirmed."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget

from dualwrite.admin.verbs import Verb, needs_reason
from dualwrite.stages import Stage

REASON_NEEDED = "A reason is needed; it is kept."
UNKNOWN_PAGE = "It cannot be told which page was confirmed; look at it once more."
_UNKNOWN = {"required": UNKNOWN_PAGE, "invalid_choice": UNKNOWN_PAGE}
_STAGES = [(stage.value, stage.value) for stage in Stage]


class ConfirmForm(forms.Form):
    """The reason, whether closed gates are overridden, and which page it was that was confirmed.

    `seen` is the stage the page showed, `to` the stage it leads to: a form sent twice must not go two stages.
    """

    reason = forms.CharField(
        required=False,
        max_length=1000,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        error_messages={"required": REASON_NEEDED},
    )
    force = forms.BooleanField(required=False, label="Force: do it although that is closed")
    seen = forms.TypedChoiceField(choices=_STAGES, coerce=Stage, widget=forms.HiddenInput, error_messages=_UNKNOWN)
    to = forms.TypedChoiceField(
        choices=_STAGES,
        coerce=Stage,
        empty_value=None,
        required=False,
        widget=forms.HiddenInput,
        error_messages=_UNKNOWN,
    )

    def __init__(self, verb: Verb, *args: Any, may_force: bool, to: Stage | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verb = verb
        self.fields["to"].required = verb.moves
        self.fields["reason"].required = needs_reason(verb, to)
        if not may_force:
            del self.fields["force"]

    def clean(self) -> dict[str, Any]:
        """A reason where the stage or force asks for one."""
        data: dict[str, Any] = super().clean() or {}
        needed = data.get("force") or needs_reason(self._verb, data.get("to"))
        if needed and not data.get("reason") and "reason" not in self.errors:
            self.add_error("reason", REASON_NEEDED)
        return data
