"""docs/runbook.md: every alert has its page, and every command of it does what it is for, as it is printed."""

import io
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from dualwrite.models import ParkedKey, RetentionPolicy, RetentionRun
from dualwrite.monitoring.alerts.seeds import RULES
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.integration.alerting import evaluated, lag, one_open, rule
from tests.integration.letters import LONG_AGO
from tests.process import ROOT
from tests.support import add, enabled

PAGE = ROOT / "docs" / "runbook.md"
COMMAND = re.compile(r"^ {4,}\./run manage (.+?)(?: {2,}#.*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]+))?\)")
#: What works until it is stopped; it has an end here.
ENDLESS = {"relay": "--once"}
INTRODUCTION = "introduction"


def pages() -> dict[str, str]:
    """Text by anchor; what comes before the first page is the introduction."""
    first, *others = PAGE.read_text().split("\n## ")
    return {INTRODUCTION: first} | {_anchor(text.split("\n")[0]): text for text in others}


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.strip().lower()).replace(" ", "-")


def exit_code(command: str) -> int:
    """Run it as it is printed."""
    words = shlex.split(command)
    words += [ENDLESS[words[0]]] if words[0] in ENDLESS else []
    try:
        call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit as exc:
        return int(str(exc.code))
    except CommandError as exc:
        return exc.returncode
    return 0


@pytest.fixture
def names(screener: Session, registry: Session, backups: Path, memberships: Stream) -> dict[str, str]:
    """A night in which everything of this book may be met: what stands in capital letters, and what it is here."""
    add(screener, "TCS")
    enabled(memberships)
    ParkedKey.objects.create(stream="index_memberships", key='["NSE:INFY","NIFTY 50"]', error="refused")
    registry.execute(
        "INSERT INTO audit_log (at, actor, action, object_type, object_key)"
        " SELECT now() - make_interval(days => %s), 'jane', 'update', 'm', 'k' FROM generate_series(1, 3)",
        (LONG_AGO,),
    )
    RetentionPolicy.objects.create(name="audit", table="audit_log", action="delete", date="at")
    for words in ([], ["--approve", "--reason", "agreed"], ["--execute"]):
        assert exit_code(shlex.join(["run_retention", "--policy", "audit", *words])) == 0
    rule()
    evaluated(0, lag(61))
    return {
        "NAME": "index_memberships",
        "ID": str(one_open().pk),
        "POLICY": "audit",
        "RUN": str(RetentionRun.objects.get(dry_run=False).pk),
        "KEY": "NSE:TCS 'NIFTY 50'",
    }


def commands(text: str, names: dict[str, str]) -> list[str]:
    return [re.sub(r"\b[A-Z]+\b", lambda word: names.get(word[0], word[0]), found) for found in COMMAND.findall(text)]


@pytest.mark.parametrize("anchor", pages())
def test_every_command_of_a_page_is_taken_and_can_tell(anchor: str, names: dict[str, str]) -> None:
    """0 done, 1 no: both are answers. 2 would be a command that there is not, 3 one that could not tell."""
    for command in commands(pages()[anchor], names):
        assert exit_code(command) in (0, 1), command


def test_every_rule_has_a_page_that_says_what_it_means_where_to_look_and_what_to_do() -> None:
    found = pages()
    for one in RULES:
        text = found.get(one["runbook"], "")
        assert all(f"**{part}**" in text for part in ("It means", "Look", "Do")), one["name"]


def test_every_page_has_a_command_and_every_link_leads_somewhere() -> None:
    found = pages()
    for anchor, text in found.items():
        assert COMMAND.search(text), anchor
        for file, part in LINK.findall(text):
            assert not file or (PAGE.parent / file).resolve().is_file(), file
            assert file or part in found, part
