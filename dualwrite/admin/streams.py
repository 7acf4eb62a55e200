"""The pages of the streams: all of them, one of them, and one for each verb to be confirmed."""

from typing import Any

import psycopg
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from dualwrite.admin import show
from dualwrite.admin.carry_out import Order, carry_out
from dualwrite.admin.forms import ConfirmForm
from dualwrite.admin.reading import OPERATE, ReadOnly, stream_address
from dualwrite.admin.verbs import Verb
from dualwrite.exceptions import DualWriteError, UnknownName, first_line
from dualwrite.models import StreamControl
from dualwrite.stream import Stream, stream_named
from dualwrite.switch import Actor

#: The permission to override closed gates.
FORCE = "dualwrite.force_stream"
TEMPLATES = "admin/dualwrite/streamcontrol"


@admin.register(StreamControl)
class StreamControlAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Every declared stream, whether it was ever enabled or not: how it stands, and its verbs."""

    def has_view_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Whoever may use the verbs may look."""
        return super().has_view_permission(request, obj) or request.user.has_perm(OPERATE)

    def get_urls(self) -> list[URLPattern]:
        """A page for each verb, besides Django's."""
        own = [
            path(
                f"<path:object_id>/{verb}/",
                self.admin_site.admin_view(self.verb_view),
                {"verb": verb},
                name=f"dualwrite_streamcontrol_{verb}",
            )
            for verb in Verb
        ]
        return own + super().get_urls()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All streams; nothing is edited here."""
        self._require_look(request)
        return self._page(request, "change_list", "Streams", show.list_page())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One stream: how it stands, and what can be done."""
        self._require_look(request)
        stream = self._stream(request, object_id)
        if stream is None:
            return HttpResponseRedirect(reverse("admin:dualwrite_streamcontrol_changelist"))
        found = show.stream_page(stream, operates=request.user.has_perm(OPERATE))
        return self._page(request, "change_form", stream.name, found)

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """What a verb would do (GET), and doing it (POST)."""
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied
        stream = self._stream(request, object_id)
        if stream is None:
            return HttpResponseRedirect(reverse("admin:dualwrite_streamcontrol_changelist"))
        if request.method == "POST":
            return self._confirmed(request, stream, verb)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        return self._question(request, stream, verb, request.GET.get("to"))

    def _confirmed(self, request: HttpRequest, stream: Stream, verb: Verb) -> HttpResponse:
        may_force = request.user.has_perm(FORCE)
        if request.POST.get("force") and not may_force:
            raise PermissionDenied
        form = ConfirmForm(verb, request.POST, may_force=may_force)
        if not form.is_valid():
            return self._question(request, stream, verb, request.POST.get("to"), form)
        data = form.cleaned_data
        actor = Actor(request.user.get_username(), data["reason"])
        order = Order(stream, actor, data["seen"], data["to"], bool(data.get("force")))
        self._do(request, verb, order)
        return HttpResponseRedirect(stream_address(stream.name))

    def _do(self, request: HttpRequest, verb: Verb, order: Order) -> None:
        try:
            done = carry_out(verb, order)
        except DualWriteError as exc:
            messages.error(request, str(exc))
        except (DatabaseError, psycopg.Error) as exc:
            first = first_line(exc)
            messages.error(request, f"A database did not do what was asked: {first}")
        else:
            messages.add_message(request, messages.SUCCESS if done.changed else messages.INFO, done.sentence)
            for left in done.pending:
                messages.warning(request, left)

    def _question(
        self, request: HttpRequest, stream: Stream, verb: Verb, to: str | None, form: ConfirmForm | None = None
    ) -> HttpResponse:
        actor, may_force = Actor(request.user.get_username()), request.user.has_perm(FORCE)
        found = show.verb_page(stream, verb, actor, to, may_force=may_force, form=form)
        return self._page(request, "verb", f"{verb.label.capitalize()}: {stream.name}", found)

    def _page(self, request: HttpRequest, name: str, title: str, found: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            **found,
        }
        return TemplateResponse(request, f"{TEMPLATES}/{name}.html", context)

    def _require_look(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request) or request.method not in ("GET", "HEAD"):
            raise PermissionDenied

    def _stream(self, request: HttpRequest, object_id: str) -> Stream | None:
        try:
            return stream_named(unquote(object_id))
        except UnknownName as exc:
            messages.warning(request, str(exc))
            return None
