"""A page to import a file: what it would change is shown first."""

import base64
import binascii
import csv
import io
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from dualwrite.exceptions import DualWriteError
from dualwrite.stages import Store
from registry.exceptions import RegistryError
from registry.exchanges import EXCHANGES
from registry.importing.upload import Imported, Sent, import_sent

PERMISSION = "registry.add_ingestionscratch"
#: The file travels with the page that asks, so it is not to be larger.
MOST_BYTES = 8 * 1024 * 1024
#: So many differences and rejected rows are shown.
SHOWN = 500
AGAIN = ("index", "exchange", "into")


class Reading(forms.Form):
    """How the file is to be read."""

    index = forms.CharField(required=False, help_text="The index of all rows; spells need it.")
    exchange = forms.ChoiceField(
        required=False, choices=[("", "as the rows say"), *[(code, code) for code in EXCHANGES]]
    )
    into = forms.ChoiceField(
        required=False,
        choices=[("", "the store that takes the writes"), *[(store.value, store.value) for store in Store]],
        help_text="For members; spells go to the registry.",
    )

    def hidden_again(self) -> list[str]:
        """What was chosen, for the page that asks."""
        return [self[name].as_hidden() for name in AGAIN]


class ImportForm(Reading):
    """The file and how it is to be read."""

    file = forms.FileField(help_text="CSV with a header: current members, or spells (with opt_in and opt_out).")
    field_order = ("file", *AGAIN)

    def clean_file(self) -> Any:
        """A file that is small enough to travel with a page."""
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"{file.size} bytes; {MOST_BYTES} are the most here; the command takes more.")
        return file


class SentAgain(Reading):
    """The same, the file as the page carried it, and the plan that was looked at."""

    content, name, plan = forms.CharField(), forms.CharField(), forms.CharField()

    def clean_content(self) -> bytes:
        """The file."""
        try:
            return base64.b64decode(self.cleaned_data["content"], validate=True)
        except (ValueError, binascii.Error) as exc:
            raise forms.ValidationError("The file did not come back whole; choose it again.") from exc


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """Ask for a file, show what it would change, import it."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    if request.method != "POST":
        return _shown(site, request, ImportForm())
    return _import(request) if "apply" in request.POST else _look(site, request)


def _look(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _shown(site, request, form)
    file = form.cleaned_data["file"]
    content = file.read()
    try:
        done = import_sent(_sent(form, file.name, content), actor=request.user.get_username(), dry_run=True)
    except (RegistryError, DualWriteError) as exc:
        form.add_error(None, str(exc))
        return _shown(site, request, form)
    rejected = [row[:3] for row in list(csv.reader(io.StringIO(done.rejects)))[1:]]
    differences = done.report.differences
    found = {
        "done": done,
        "name": file.name,
        "content": base64.b64encode(content).decode(),
        "differences": differences[:SHOWN],
        "more": max(0, len(differences) - SHOWN),
        "lacking": done.report.lacking[:SHOWN],
        "more_lacking": max(0, len(done.report.lacking) - SHOWN),
        "rejected": rejected[:SHOWN],
    }
    return _shown(site, request, form, **found)


def _import(request: HttpRequest) -> HttpResponse:
    form = SentAgain(request.POST)
    if not form.is_valid():
        messages.error(request, "The file did not come back whole; choose it again.")
        return HttpResponseRedirect(request.path)
    data = form.cleaned_data
    sent = _sent(form, data["name"], data["content"])
    try:
        done = import_sent(sent, actor=request.user.get_username(), dry_run=False, plan=data["plan"])
    except (RegistryError, DualWriteError) as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(request.path)
    messages.success(request, _sentence(data["name"], done))
    return HttpResponseRedirect(reverse("admin:registry_ingestionscratch_changelist"))


def _sent(form: forms.Form, name: str, content: bytes) -> Sent:
    given = {field: form.cleaned_data[field] or None for field in AGAIN}
    return Sent(name, content, **given)


def _sentence(name: str, done: Imported) -> str:
    counts = done.report.counts()
    return f"Of {name} {counts['read']} rows were read, {counts['accepted']} accepted, {counts['rejected']} rejected."


def _shown(site: admin.AdminSite, request: HttpRequest, form: forms.Form, **more: Any) -> HttpResponse:
    context = {**site.each_context(request), "title": "Import a file", "form": form, **more}
    return TemplateResponse(request, "admin/registry/ingestionscratch/import.html", context)
