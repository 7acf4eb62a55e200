"""Verbs of a row: a button each, a page that asks before, a function that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget
from django.http import HttpRequest
from django.urls import reverse

from dualwrite.admin.forms import REASON_NEEDED, UNKNOWN_PAGE
from dualwrite.models import RetentionRun
from dualwrite.switch import Actor

#: The permission to do anything about retention but to edit policies.
OPERATE = "dualwrite.operate_retention"


@dataclass(frozen=True)
class Question:
    """What is confirmed. `plan`: the dry run whose plan is shown; `seen` changes with whatever the answer depends on;
    `blocked`: why it would be refused; `forcible`: force gets past that."""

    says: list[str] = field(default_factory=list)
    risks: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    facts: list[tuple[str, object]] = field(default_factory=list)
    plan: RetentionRun | None = None
    seen: str = "-"
    forcible: bool = False
    needs_reason: bool = True
    command: str = ""


@dataclass(frozen=True)
class Done:
    """A sentence for people, where it goes on (the row's page unless said), what else is to be known."""

    sentence: str
    address: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Verb:
    """`ask` makes the page that is confirmed, None: the button does it at once; `elsewhere`: the address of a page that
    asks in its own way; `why_not`: why it is of no use now, empty when it is."""

    name: str
    label: str
    meaning: str
    do: Callable[[Any, Actor, Mapping[str, Any]], Done] | None = None
    ask: Callable[[Any], Question] | None = None
    elsewhere: Callable[[Any], str] | None = None
    why_not: Callable[[Any], str] = lambda row: ""
    stops: bool = False


class ConfirmForm(forms.Form):
    """The reason, whether a brake is overridden, and what the page showed that was confirmed."""

    reason = forms.CharField(
        max_length=1000,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        error_messages={"required": REASON_NEEDED},
    )
    force = forms.BooleanField(required=False, label="Force: let that many rows go")
    seen = forms.CharField(widget=forms.HiddenInput, error_messages={"required": UNKNOWN_PAGE})

    def __init__(self, question: Question, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial={"seen": question.seen})
        self._question = question
        self.fields["reason"].required = question.needs_reason
        if not question.forcible:
            del self.fields["force"]

    def clean(self) -> dict[str, Any]:
        """As it was shown, and forced where it would be refused otherwise."""
        data: dict[str, Any] = super().clean() or {}
        if "seen" in data and data["seen"] != self._question.seen:
            raise forms.ValidationError("It is not as this page showed it any more; look at it once more.")
        if self._question.forcible and not data.get("force"):
            self.add_error("force", "It would be refused unless forced.")
        return data


@dataclass(frozen=True)
class Button:
    """A verb on a page; `posts`: it is done at once."""

    verb: Verb
    address: str
    posts: bool
    why_not: str


def buttons(model: str, verbs: tuple[Verb, ...], row: Any) -> list[Button]:
    """The row's verbs."""
    return [
        Button(
            verb,
            verb.elsewhere(row) if verb.elsewhere else address(model, verb.name, row.pk),
            posts=verb.ask is None and verb.elsewhere is None,
            why_not=verb.why_not(row),
        )
        for verb in verbs
    ]


def address(model: str, page: str, *args: object) -> str:
    """The address of a page of the admin."""
    return reverse(f"admin:dualwrite_{model}_{page}", args=args)


def actor(request: HttpRequest, reason: str = "") -> Actor:
    """Who is logged in."""
    return Actor(request.user.get_username(), reason)
