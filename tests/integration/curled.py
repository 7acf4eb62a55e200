"""The curl lines of a page, made as requests, and their answers as the page shows them."""

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

#: An indented `$ curl …` and the indented lines of its answer, which begins with the status.
EXAMPLE = re.compile(r"^    \$ (curl .+)\n((?:    (?!\$ ).*\n?)+)", re.MULTILINE)
MORE = "..."


@dataclass
class Curl:
    """A line as curl reads it."""

    method: str = "GET"
    address: str = ""
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, line: str) -> "Curl":
        """Of the options that the pages use."""
        words, made = iter(shlex.split(line)[1:]), cls()
        for word in words:
            if word == "-X":
                made.method = next(words)
            elif word == "-H":
                name, _, value = next(words).partition(": ")
                made.headers[name] = value
            elif word == "--json":
                made.body, made.method = next(words), made.method if made.method != "GET" else "POST"
                made.headers["Content-Type"] = "application/json"
            else:
                made.address = word
        return made

    def ask(self, client: Client) -> Any:
        """Make the request; an address without a body is sent without a kind of one, as curl does."""
        headers = {name: value for name, value in self.headers.items() if name != "Content-Type"}
        kind = self.headers.get("Content-Type", "")
        return client.generic(self.method, self.address, self.body, content_type=kind, headers=headers)


def unlike(shown: Any, found: Any, where: str = "") -> str:
    """Where the answer has another shape than what is shown; empty when it has not. Null is like anything."""
    if shown == MORE or shown is None or found is None:
        return ""
    if isinstance(shown, dict) and isinstance(found, dict):
        names = set(shown) - {MORE}
        if names - set(found) or (MORE not in shown and set(found) - names):
            return f"{where}: shown {sorted(names)}, found {sorted(found)}"
        return next(filter(None, (unlike(shown[name], found[name], f"{where}.{name}") for name in names)), "")
    if isinstance(shown, list) and isinstance(found, list):
        return unlike(shown[0], found[0], f"{where}[0]") if shown and found else ""
    both_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (shown, found))
    return "" if both_numbers or type(shown) is type(found) else f"{where}: shown {shown!r}, found {found!r}"


def shown_answer(text: str) -> tuple[int, Any]:
    """Status and body of an answer as the page shows it; a body that is no JSON is its text."""
    status, _, body = text.strip().partition(" ")
    try:
        return int(status), json.loads(body)
    except json.JSONDecodeError:
        return int(status), body
