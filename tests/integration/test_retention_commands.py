"""The commands of retention, typed rightly and wrongly: one sentence, the right code, JSON alone on stdout."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings

import manage as program
from dualwrite import runs
from dualwrite.models import RetentionRun
from dualwrite.stores import Session
from tests.integration.letters import LETTERS, approved, execute, held_back, ids, policy, send
from tests.integration.test_retention_faults import altered, flip, part

BECAUSE = ("--reason", "a test")
ODD = "\udcff"


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def say(*words: str) -> Said:
    """The command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            program.CommandLine(["manage.py", *words]).execute()
        except SystemExit as exc:
            code = int(exc.code or 0)
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Said(code, out.getvalue(), err.getvalue())


def told(*words: str) -> tuple[int, Any]:
    """The same with its JSON."""
    found = say(*words, "--json")
    return found.code, json.loads(found.out)


def require_sentence(found: Said, code: int, why: str) -> None:
    errors = [
        line
        for line in found.err.splitlines()
        if line.startswith(("CommandError", "manage.py", "usage")) or why in line
    ]
    assert (found.code, found.out) == (code, ""), found
    assert why in found.err, found
    assert len([line for line in errors if "CommandError" in line]) <= 1


@pytest.fixture
def sent(letterbox: Session, backups: Path) -> Session:
    """Three hundred old letters and an approved policy."""
    send(letterbox, 300)
    approved()
    return letterbox


def test_a_policy_from_the_first_look_to_the_last_row_back(letterbox: Session, backups: Path) -> None:
    send(letterbox, 300)
    policy()
    code, looked = told("run_retention", "--policy", "letters")
    assert (code, looked["dry_run"], looked["policies"][0]["rows"]) == (0, True, 300)
    assert say("run_retention", "--policy", "letters", "--execute").code == 1
    assert told("run_retention", "--policy", "letters", "--approve", *BECAUSE)[0] == 0
    code, done = told("run_retention", "--policy", "letters", "--execute")
    run = done["policies"][0]["run"]
    assert (code, done["policies"][0]["removed"], ids(letterbox)) == (0, 300, set())
    assert told("verify_backups")[1]["status"] == "passed"
    code, back = told("restore_backup", str(run), "--key", "7", *BECAUSE)
    assert (code, back["restored"], ids(letterbox)) == (0, 1, {7})
    code, hold = told("legal_hold", "--table", "letters", "--name", "recipient", "--value", "x", *BECAUSE)
    assert (code, told("legal_hold")[1]["holds"]) == (0, hold["holds"])
    assert told("legal_hold", "--release", str(hold["holds"][0]["hold"]), *BECAUSE)[0] == 0
    for words in (
        ["run_retention"],
        ["legal_hold"],
        ["verify_backups"],
        ["restore_backup", str(run), "--key", "8", "--dry-run"],
    ):
        assert say(*words).code == 0


WRONG: list[tuple[list[str], str]] = [
    (["run_retention", "--policy", "nope"], "policy 'nope'; valid: letters"),
    (["run_retention", "--policy", ""], "policy ''; valid: letters"),
    (["run_retention", "--policy", "", "--execute"], "policy ''; valid: letters"),
    (["run_retention", "--policy", ODD, "--execute"], "not valid UTF-8"),
    (["run_retention", "--policy", "letters", "--execute", "--reason", ODD], "not valid UTF-8"),
    (["run_retention", "--force"], "--force goes with --execute"),
    (["run_retention", "--force", "--execute"], "force needs a reason"),
    (["run_retention", "--execute", "--dry-run"], "not allowed with argument"),
    (["run_retention", "--approve", *BECAUSE], "name the policy"),
    (["run_retention", "--approve", "--policy", "", *BECAUSE], "policy ''; valid: letters"),
    (["run_retention", "--approve", "--policy", "letters"], "needs a reason"),
    (["run_retention", "--disable", "--policy", "letters"], "needs a reason"),
    (["run_retention", "--cancel", "999"], "there is no retention run 999"),
    (["run_retention", "--cancel", "9" * 30], "there is no retention run 9"),
    (["run_retention", "--cancel", "x"], "invalid int value"),
    (["restore_backup"], "required: RUN"),
    (["restore_backup", "999"], "there is no retention run 999"),
    (["restore_backup", "9" * 30], "there is no retention run 9"),
    (["restore_backup", "1"], "has no backup"),
    (["restore_backup", "2", "--part", "0"], "parts 1 to 1"),
    (["restore_backup", "2", "--part", "2"], "parts 1 to 1"),
    (["restore_backup", "2", "--key", ODD], "not valid UTF-8"),
    (["restore_backup", "2", "--from", "2026-02-30"], "valid: a day such as"),
    (["restore_backup", "2", "--to", "yesterday"], "valid: a day such as"),
    (["restore_backup", "2", "--to", ""], "valid: a day such as"),
    (["restore_backup", "2", "--on-conflict", "merge"], "invalid choice"),
    (["verify_backups", "--backup", "999"], "there is no backup 999"),
    (["verify_backups", "--backup", "9" * 30], "there is no backup 9"),
    (["legal_hold", "--table", "nope", *BECAUSE], "table 'nope'; valid: "),
    (["legal_hold", "--table", "", *BECAUSE], "table ''; valid: "),
    (["legal_hold", "--table", "letters"], "a hold needs a reason"),
    (
        ["legal_hold", "--table", "letters", "--name", "sender", "--value", "x", *BECAUSE],
        "hold 'sender'; valid: recipient",
    ),
    (["legal_hold", "--table", "letters", "--name", "recipient", *BECAUSE], "names a value of one of: recipient"),
    (["legal_hold", "--table", "letters", "--value", "x", *BECAUSE], "names a value of one of: recipient"),
    (["legal_hold", "--table", "letters", "--until", "soon", *BECAUSE], "valid: a day such as"),
    (["legal_hold", "--name", "recipient"], "a hold needs --table"),
    (["legal_hold", "--release", "999", *BECAUSE], "there is no hold 999"),
    (["legal_hold", "--release", "9" * 30, *BECAUSE], "there is no hold 9"),
    (["legal_hold", "--release", "1"], "needs a reason"),
]


def test_a_wrong_word_is_answered_in_a_sentence_and_nothing_happens(sent: Session) -> None:
    execute()
    send(sent, 5)
    holds = sent.execute("SELECT count(*) FROM dualwrite_legal_hold").fetchone()
    for words, why in WRONG:
        require_sentence(say(*words), 2, why)
    assert len(ids(sent)) == 5
    assert sent.execute("SELECT count(*) FROM dualwrite_legal_hold").fetchone() == holds


def test_what_is_refused_ends_with_1(sent: Session, backups: Path) -> None:
    done = execute()
    send(sent, 300)
    (brake,) = told("run_retention", "--policy", "letters")[1]["policies"]
    assert brake["sentence"] == ""
    approved("braked", max_rows=299)
    code, answer = told("run_retention", "--policy", "braked", "--execute")
    assert (code, answer["policies"][0]["status"]) == (1, "refused")
    assert answer["policies"][0]["sentence"] == "300 rows would go, and 299 may"
    code, answer = told("restore_backup", str(done.pk + 0), "--on-conflict", "fail")
    assert code == 0
    code, answer = told("restore_backup", str(done.pk))
    assert (code, answer["error"]["kind"], answer["error"]["exit_code"]) == (1, "RestoreRefused", 1)
    hold = held_back("x")
    assert say("legal_hold", "--release", str(hold.pk), *BECAUSE).code == 0
    require_sentence(say("legal_hold", "--release", str(hold.pk), *BECAUSE), 1, "was released already")
    altered(part(backups, 1), flip)
    code, answer = told("verify_backups")
    assert (code, answer["status"]) == (1, "failed")
    require_sentence(say("run_retention", "--cancel", str(done.pk)), 1, "has ended already")


def test_what_could_not_be_told_ends_with_3(sent: Session, backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = execute()
    send(sent, 5)
    away = backups.rename(backups.with_name("away"))
    code, answer = told("verify_backups")
    assert (code, [one["known"] for one in answer["backups"]]) == (3, [False])
    code, answer = told("restore_backup", str(done.pk))
    assert (code, answer["error"]["kind"]) == (3, "StorageFailed")
    backups.write_text("no directory")
    code, answer = told("run_retention", "--policy", "letters", "--execute")
    assert (code, answer["error"]["kind"]) == (3, "StorageFailed")
    code, answer = told("run_retention", "--execute")
    assert (code, answer["policies"][0]["status"]) == (3, "refused")
    backups.unlink()
    away.rename(backups)
    monkeypatch.setattr(settings, "BACKUP_STORAGE_URL", "ftp://nowhere")
    assert say("run_retention").code == 2
    for words in (["run_retention", "--policy", "letters"], ["verify_backups"], ["restore_backup", str(done.pk)]):
        require_sentence(say(*words), 2, "BACKUP_STORAGE_URL has the scheme 'ftp'")


def test_what_is_running_already_ends_with_4(sent: Session) -> None:
    done = execute()
    with runs.only(RetentionRun, LETTERS):
        for words in (["run_retention", "--policy", "letters", "--execute"], ["restore_backup", str(done.pk)]):
            require_sentence(say(*words), 4, "It is already running: retention of table letters")
            assert told(*words)[1]["error"]["exit_code"] == 4
        code, answer = told("run_retention")
        assert (code, answer["policies"][0]["status"]) == (4, "refused")


def test_one_policy_that_is_refused_keeps_no_other_from_being_looked_at(sent: Session) -> None:
    policy("a broken one", conditions=[{"column": "copies", "is": "equal", "value": "many"}])
    policy("b unapproved")
    code, answer = told("run_retention")
    assert (code, {one["policy"]: one["status"] for one in answer["policies"]}) == (
        2,
        {"a broken one": "refused", "b unapproved": "planned", "letters": "planned"},
    )
    code, answer = told("run_retention", "--execute")
    assert (code, {one["policy"]: one["status"] for one in answer["policies"]}) == (
        1,
        {"a broken one": "refused", "b unapproved": "refused", "letters": "complete"},
    )
