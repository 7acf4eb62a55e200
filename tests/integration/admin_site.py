"""An operator at the admin's pages, with a session and the permissions given."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

STREAMS = "/admin/dualwrite/streamcontrol/"
HERE = f"{STREAMS}index_memberships"
VERBS = ("enable", "pause", "resume", "disable", "advance", "rollback", "settle")
LOOK, OPERATE, FORCE = "view_streamcontrol", "operate_stream", "force_stream"


class Operator:
    """Opens pages, reads them, confirms verbs; `name` is who the audit then knows."""

    def __init__(self, *permissions: str, name: str = "anna") -> None:
        user = get_user_model().objects.create_user(name, is_staff=True)
        found = Permission.objects.filter(codename__in=permissions, content_type__app_label="dualwrite")
        assert len(found) == len(permissions), "migrations make these permissions"
        user.user_permissions.set(found)
        self.name, self.client = name, Client()
        self.client.force_login(user)

    def looks(self) -> str:
        """The stream's page."""
        return str(self.client.get(f"{HERE}/change/").content.decode())

    def asks(self, verb: str, **query: str) -> str:
        """The page on which the verb is confirmed."""
        answer = self.client.get(f"{HERE}/{verb}/", query)
        assert answer.status_code == 200
        return str(answer.content.decode())

    def form(self, verb: str, **query: str) -> dict[str, str]:
        """The hidden fields of that page."""
        form = self.client.get(f"{HERE}/{verb}/", query).context["form"]
        return {name: form[name].value() or "" for name in ("seen", "to")}

    def confirms(self, verb: str, **fields: str) -> str:
        """Open the page, fill its form in, send it; returns the message of the page that follows."""
        query = {name: value for name, value in fields.items() if name == "to"}
        return self.sends(verb, self.form(verb, **query) | fields)

    def sends(self, verb: str, fields: dict[str, str]) -> str:
        """Send the form as it is; returns the messages of the page that follows, which is the stream's."""
        answer = self.client.post(f"{HERE}/{verb}/", fields, follow=True)
        assert answer.redirect_chain == [(f"{HERE}/change/", 302)], "the form was not taken"
        return "; ".join(f"{message.level_tag}: {message}" for message in answer.context["messages"])

    def is_refused(self, verb: str, fields: dict[str, str]) -> Any:
        """Send a form that is not taken; returns the answer."""
        answer = self.client.post(f"{HERE}/{verb}/", fields)
        assert answer.status_code != 302
        return answer
