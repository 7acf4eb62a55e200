"""The pages of a row's verbs, for every kind of row."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from dualwrite.admin.retention.shown import planned
from dualwrite.admin.retention.verbs import OPERATE, ConfirmForm, Done, Question, Verb, actor, address, buttons
from dualwrite.exceptions import DualWriteError, first_line
from dualwrite.switch import Actor

TEMPLATES = "admin/dualwrite/retention"
T = TypeVar("T")


class OfVerbs(admin.ModelAdmin):  # type: ignore[type-arg]
    """A row's page has its verbs; each has a page on which it is confirmed, or is done at once."""

    verbs: tuple[Verb, ...] = ()
    change_form_template = f"{TEMPLATES}/change_form.html"

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may use them."""
        return request.user.has_perm(OPERATE)

    def has_view_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Whoever may use the verbs may look."""
        return super().has_view_permission(request, obj) or self.has_operate_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """A page for each verb, besides Django's."""
        name, view = self.opts.model_name, self.admin_site.admin_view(self.verb_view)
        own = [
            path(f"<path:object_id>/{verb.name}/", view, {"verb": verb}, name=f"dualwrite_{name}_{verb.name}")
            for verb in self.verbs
            if verb.elsewhere is None
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The row, with its verbs for those who may use them."""
        row = self.get_object(request, unquote(object_id))
        operates = row is not None and self.has_operate_permission(request)
        shown = buttons(self._model, self.verbs, row) if operates else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "buttons": shown})

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """What a verb would do (GET), and doing it (POST)."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            messages.warning(request, f"There is no {self.opts.verbose_name} {unquote(object_id)}.")
            return HttpResponseRedirect(address(self._model, "changelist"))
        if request.method == "POST":
            return self._posted(request, row, verb)
        if verb.ask is None or request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["POST"] if verb.ask is None else ["GET", "HEAD", "POST"])
        question = verb.ask(row)
        return self._page(request, row, verb, question, ConfirmForm(question))

    def _posted(self, request: HttpRequest, row: Any, verb: Verb) -> HttpResponse:
        if verb.ask is None:
            return self._go_on(request, row, verb, {})
        question = verb.ask(row)
        form = ConfirmForm(question, request.POST)
        if question.blocked or not form.is_valid():
            return self._page(request, row, verb, question, form)
        return self._go_on(request, row, verb, form.cleaned_data)

    def _go_on(self, request: HttpRequest, row: Any, verb: Verb, data: dict[str, Any]) -> HttpResponse:
        who = actor(request, data.get("reason") or "")
        done = self.told(request, lambda: self.do(verb, row, who, data))
        return HttpResponseRedirect((done and done.address) or address(self._model, "change", row.pk))

    def do(self, verb: Verb, row: Any, who: Actor, data: dict[str, Any]) -> Done:
        """Do it."""
        assert verb.do is not None  # noqa: S101  only a verb with a page elsewhere has none
        return verb.do(row, who, data)

    def told(self, request: HttpRequest, work: Callable[[], Done]) -> Done | None:
        """Do the work and tell what came of it; None where it was refused."""
        try:
            done = work()
        except DualWriteError as exc:
            messages.error(request, str(exc))
        except (DatabaseError, psycopg.Error) as exc:
            first = first_line(exc)
            messages.error(request, f"A database did not do what was asked: {first}")
        else:
            messages.success(request, done.sentence)
            if done.warning:
                messages.warning(request, done.warning)
            return done
        return None

    def _page(self, request: HttpRequest, row: Any, verb: Verb, question: Question, form: ConfirmForm) -> HttpResponse:
        context = {
            "row": row,
            "verb": verb,
            "question": question,
            "form": form,
            "plan": planned(question.plan) if question.plan else None,
        }
        return self.page(request, "confirm", f"{verb.label}: {row}", context)

    def page(self, request: HttpRequest, name: str, title: str, context: dict[str, Any]) -> HttpResponse:
        """A page of this kind of rows, of the template of that name."""
        own = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, f"{TEMPLATES}/{name}.html", {**own, **context})

    @property
    def _model(self) -> str:
        return str(self.opts.model_name)
