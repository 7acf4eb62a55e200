"""docs/retention.md, "I deleted too much": its commands, as they are printed, bring everything back."""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from tests.integration.letters import LONG_AGO
from tests.process import ROOT

PAGE = ROOT / "docs" / "retention.md"
COMMAND = re.compile(r"^ +\./run manage (.+)$", re.MULTILINE)


@pytest.fixture
def audit(stores: None) -> Iterator[Session]:
    """Fifty old rows of the business audit, ten of one object."""
    with dedicated(Store.REGISTRY, "test") as session:
        session.execute(
            "INSERT INTO audit_log (at, actor, action, object_type, object_key, after)"
            " SELECT now() - make_interval(days => %s, secs => g), 'jane', 'update', 'membership', 'key ' || g %% 5,"
            " jsonb_build_object('weight', g) FROM generate_series(1, 50) AS g",
            (LONG_AGO,),
        )
        yield session


def commands(**names: str) -> list[str]:
    """The runbook's commands, with what the operator knows in place of the capital words."""
    section = PAGE.read_text().split("## I deleted too much")[1]
    found = COMMAND.findall(section)
    for name, value in names.items():
        found = [re.sub(rf"\b{name}\b", value, command) for command in found]
    return found


def rows(session: Session) -> set[str]:
    return {row[0] for row in session.execute("SELECT t::text FROM audit_log AS t").fetchall()}


def said(*words: str) -> str:
    """What the command answers; it must end well."""
    told = io.StringIO()
    call_command(*words, stdout=told)
    return told.getvalue()


def test_the_runbook_brings_everything_back_and_keeps_it(
    audit: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", str(tmp_path))
    before = rows(audit)
    RetentionPolicy.objects.create(name="audit", table="audit_log", action="delete", date="at")
    policy = ("run_retention", "--policy", "audit")
    said(*policy)
    said(*policy, "--approve", "--reason", "too soon")
    said(*policy, "--execute")
    assert rows(audit) == set()
    run = RetentionRun.objects.get(dry_run=False)

    names = {"POLICY": "audit", "RUN": str(run.pk), "KEY": "'key 3'", "TABLE": "audit_log"}
    answers = "\n".join(said(*shlex.split(command)) for command in commands(**names))

    assert rows(audit) == before
    assert "50 rows asked for, 50 rows would be restored" in answers
    assert "10 rows asked for, 10 rows would be restored" in answers
    assert "50 rows are old enough and stay" in answers
    said(*policy, "--execute")
    assert rows(audit) == before, "what is held went again"
