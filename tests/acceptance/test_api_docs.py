"""docs/api.md and docs/moving-a-consumer.md: each call, as it is printed, is answered as it is printed."""

import io
import json
import re
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.test import Client

from dualwrite.stages import Stage
from dualwrite.stores import Session
from dualwrite.stream import Stream, all_streams
from tests.integration.asking import api, consumer
from tests.integration.moving import bring, quick, relay_at_work, relayed
from tests.process import ROOT
from tests.support import add, enabled

__all__ = ["api"]

BLOCK = re.compile(r"^```(http|json|csv|ndjson)(?: (\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Stands for what differs from day to day.
ANYTHING = "…"


@dataclass(frozen=True)
class Call:
    """A request as it is printed, and the status and text of its answer."""

    request: str
    status: int
    answer: str

    @property
    def parts(self) -> tuple[str, str, dict[str, str], str]:
        """Method, address, headers, body."""
        head, _, body = self.request.partition("\n\n")
        first, *lines = head.strip().split("\n")
        method, _, address = first.partition(" ")
        return method, address, dict(line.split(": ", 1) for line in lines), body


def calls(page: str) -> list[Call]:
    """The calls of a page in order; each request is followed by its answer."""
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
    pairs = list(zip(blocks[::2], blocks[1::2], strict=True))
    assert all(one[0] == "http" and two[0] != "http" for one, two in pairs)
    return [Call(one[2], int(two[1]), two[2]) for one, two in pairs]


def answered(client: Client, call: Call, known: dict[str, str]) -> Any:
    method, address, headers, body = call.parts
    for name, value in known.items():
        address = address.replace(name, value)
    kind = headers.pop("Content-Type", "application/json")
    return client.generic(method, quote(address, safe="/?&=:%"), body, content_type=kind, headers=headers)


def like(told: Any, printed: Any) -> bool:
    """Whether they are the same but for what differs from day to day."""
    if printed == ANYTHING:
        return True
    if isinstance(printed, dict):
        return isinstance(told, dict) and told.keys() == printed.keys() and all(like(told[k], printed[k]) for k in told)
    if isinstance(printed, list):
        return isinstance(told, list) and len(told) == len(printed) and all(map(like, told, printed))
    if isinstance(printed, str) and ANYTHING in printed:
        pattern = ".*".join(map(re.escape, printed.split(ANYTHING)))
        return isinstance(told, str) and re.fullmatch(pattern, told) is not None
    return bool(told == printed)


def test_each_call_of_the_api_is_answered_as_it_is_printed(api: Client) -> None:
    for stream in all_streams():
        enabled(stream)
    known: dict[str, str] = {}
    for call in calls("api.md"):
        answer = answered(api, call, known)
        text = answer.content.decode()
        assert answer.status_code == call.status, (call.request, text)
        if call.answer.startswith(("{", "[")) and "\n{" not in call.answer:
            told = json.loads(text)
            assert like(told, json.loads(call.answer)), (call.request, text)
            known |= {"CURSOR": told["next"]} if str(told.get("next", "")).count(".") == 1 else {}
            known |= {"PLAN": told["plan"]} if "plan" in told else {}
        else:
            assert text.replace("\r\n", "\n").strip() == call.answer.strip(), call.request


ANSWERED = re.compile(r"^```http\n(.*?)^```\n\n```json (\d+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^ {4}\./run manage (.+)$", re.MULTILINE)


def test_a_consumer_moves_by_the_four_steps_as_they_are_printed(
    api: Client, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands and calls in their order; the stage is one that was proven before."""
    page = (ROOT / "docs" / "moving-a-consumer.md").read_text()
    quick(monkeypatch)
    add(screener, "TCS", weight=4, sector="IT", effective_date="2004-08-25")
    steps = page.split("\n## ")[1:]
    assert len(steps) == 4
    with relay_at_work(memberships):
        enabled(memberships)
        pricing = consumer("pricing")
        relayed(memberships)
        bring(memberships, Stage.DUALWRITE)
        stores = []
        for step in steps:
            before_back, _, back = step.partition("**Back**")
            for command in COMMAND.findall(before_back):
                if command.startswith("dualwrite advance"):
                    bring(memberships, Stage.SHADOW)
                elif not command.startswith("create_api_key"):
                    call_command(*shlex.split(command), stdout=io.StringIO())
            stores.append(_walk(api, pricing, before_back))
            for command in COMMAND.findall(back):
                call_command(*shlex.split(command), stdout=io.StringIO())
    assert stores == [{"screener"}, set(), {"registry"}, {"registry"}]


def _walk(operator: Client, pricing: Client, step: str) -> set[str]:
    """Make the calls of a step: those of the consumer, and those of whoever watches; the stores that answered it."""
    found = set()
    for request, status, printed in ANSWERED.findall(step):
        call = Call(request, int(status), printed)
        watching = "/consumers" in request
        answer = answered(operator if watching else pricing, call, {})
        assert answer.status_code == call.status, answer.content
        assert like(answer.json(), json.loads(printed)), answer.content
        if not watching:
            found.add(answer.headers["Registry-Store"])
    return found
