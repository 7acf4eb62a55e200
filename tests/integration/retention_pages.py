"""An operator at the admin's pages of retention, with a session and the permissions given."""

from typing import Any

from tests.integration.admin_site import Operator

BASE = "/admin/dualwrite"
ACT = "operate_retention"


class Keeper(Operator):
    """Opens pages of retention, sends their forms, reads the messages that follow."""

    def reads(self, model: str, *parts: object) -> str:
        """The page of that address."""
        answer = self.client.get("/".join([BASE, model, *map(str, parts), ""]))
        assert answer.status_code == 200
        return str(answer.content.decode())

    def presses(self, model: str, number: object, verb: str, **fields: object) -> str:
        """Send a verb, as it stands; returns the messages of the page that follows."""
        answer = self.client.post(f"{BASE}/{model}/{number}/{verb}/", fields, follow=True)
        assert answer.redirect_chain, answer.context["form"].errors
        return _messages(answer)

    def agrees(self, model: str, number: object, verb: str, **fields: object) -> str:
        """Open the page on which the verb is confirmed, and confirm it."""
        return self.presses(model, number, verb, seen=self.seen(model, number, verb), **fields)

    def seen(self, model: str, number: object, verb: str) -> str:
        """What that page says it showed."""
        page = self.client.get(f"{BASE}/{model}/{number}/{verb}/")
        assert page.status_code == 200
        return str(page.context["question"].seen)

    def is_not_taken(self, model: str, number: object, verb: str, **fields: object) -> Any:
        """Send a form that comes back; returns the answer."""
        answer = self.client.post(f"{BASE}/{model}/{number}/{verb}/", fields)
        assert answer.status_code == 200
        return answer

    def saves(self, path: str, fields: dict[str, object]) -> str:
        """Send a row's form; returns the messages of the page that follows."""
        answer = self.client.post(f"{BASE}/{path}/", fields, follow=True)
        assert answer.redirect_chain, answer.context["adminform"].form.errors
        return _messages(answer)

    def errors(self, path: str, fields: dict[str, object]) -> dict[str, list[str]]:
        """Send a row's form that is not taken; returns what is said of each field."""
        answer = self.client.post(f"{BASE}/{path}/", fields)
        assert answer.status_code == 200
        return {name: list(said) for name, said in answer.context["adminform"].form.errors.items()}

    def is_forbidden(self, method: str, model: str, *parts: object) -> bool:
        """Whether the page is not his."""
        answer = self.client.generic(method, "/".join([BASE, model, *map(str, parts), ""]))
        return answer.status_code == 403


def _messages(answer: Any) -> str:
    return "; ".join(f"{message.level_tag}: {message}" for message in answer.context["messages"])
