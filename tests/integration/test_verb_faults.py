"""What verbs refuse, pass over and point to: complete streams, blank reasons, options they do not take, machines."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dualwrite.control import transition
from dualwrite.control.gates import findings
from dualwrite.control.status import stream_status
from dualwrite.exceptions import AlreadyRunning
from dualwrite.models import StreamControl, ValidationRun
from dualwrite.runs import only_run
from dualwrite.stages import Stage
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.moving import bring, quick, relay_at_work
from tests.support import add, enabled, one, tampered

STREAM = ("--stream", "index_memberships")
PASSED_OVER = "index_memberships: passed over, as it is complete"


@pytest.fixture
def completed(screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Memberships at complete, instruments enabled."""
    quick(monkeypatch)
    add(screener, "A")
    screener.execute("INSERT INTO instruments (symbol, exchange) VALUES ('A', 'NSE')")
    with relay_at_work(memberships):
        bring(memberships, Stage.COMPLETE)
    enabled(instruments)
    return memberships


def refusal(*command: str) -> tuple[str, int]:
    """The sentence with which the command is refused, and its exit code."""
    with pytest.raises(CommandError) as caught:
        call_command(*command)
    return str(caught.value), caught.value.returncode


def test_all_passes_complete_streams_over_and_goes_on_with_the_others(
    completed: Stream, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    identities = "SELECT array_agg(t::text) FROM dualwrite.store_identity AS t"
    before = one(registry, identities)
    for verb in ("enable", "backfill", "pause", "resume", "redrive"):
        call_command("dualwrite", verb, "--all")
        said = capsys.readouterr().out
        assert PASSED_OVER in said
        assert "\ninstruments: " in f"\n{said}"
    call_command("dualwrite", "enable", "--all", "--force", "--reason", "tried")
    capsys.readouterr()
    call_command("run_validation")
    assert PASSED_OVER in capsys.readouterr().out
    call_command("run_validation", "--json")
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [run["status"] for run in data["runs"]] == ["passed"]
    assert list(data["passed_over"]) == [completed.name]
    assert one(registry, identities) == before


@pytest.mark.parametrize("verb", ["enable", "backfill", "pause", "resume", "redrive"])
def test_a_complete_stream_that_is_named_is_refused_and_pointed_nowhere(completed: Stream, verb: str) -> None:
    sentence, code = refusal("dualwrite", verb, *STREAM)
    assert code == 1
    assert sentence.endswith("index_memberships is at stage complete: the old store is no part of it any more")
    assert not StreamControl.objects.get(stream=completed.name).paused


def test_a_complete_stream_is_not_paired_anew(completed: Stream, registry: Session) -> None:
    registry.execute("UPDATE dualwrite.store_identity SET peer_identity = gen_random_uuid()")
    rows = "SELECT array_agg(t::text ORDER BY stream) FROM dualwrite.stream_state AS t"
    before = one(registry, rows)
    assert "is at stage complete" in refusal("dualwrite", "enable", *STREAM, "--force", "--reason", "tried")[0]
    assert one(registry, rows) == before


def test_the_guard_of_a_store_that_a_stream_left_is_not_taken_away_without_force(
    completed: Stream, screener: Session, instruments: Stream
) -> None:
    call_command("dualwrite", "disable", "--stream", instruments.name)
    sentence, code = refusal("dualwrite", "uninstall", "--store", "screener", "--reason", "tidy")
    assert code == 1
    assert "index_memberships" in sentence
    assert "forgotten writers" in sentence
    with pytest.raises(Exception, match="takes its writes"):
        add(screener, "B")


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        (["advance", *STREAM, "--to", ""], "valid: complete, dualwrite, live, off, rampdown, shadow"),
        (["pause", "--all", "--to", ""], "pause takes no --to"),
        (["status", "--store", "screener"], "status takes no --store; valid with install, pair, sql, uninstall"),
        (
            ["enable", "--all", "--key", "[]"],
            "enable takes no --key; valid with deleted, explain, redrive, skip, undelete",
        ),
        (["uninstall", "--store", "screener", "--role", "x"], "uninstall takes no --role; valid with install, sql"),
        (["install", "--store", "screener", "--role", ""], "--role is empty"),
        (["pair", "--store", ""], "valid: registry, screener"),
        (["enable", "--all", "--force", "--reason", "  "], "force needs a reason: --reason WHY"),
        (["pair", "--force", "--reason", "  "], "force needs a reason: --reason WHY"),
        (["resume", "--all", "--force", "--reason", "  "], "force needs a reason: --reason WHY"),
        (["uninstall", "--store", "screener", "--reason", "  "], "uninstalling needs a reason: --reason WHY"),
    ],
)
def test_what_is_no_valid_request_is_said_to_people_and_machines(
    stores: None, arguments: list[str], valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence, code = refusal("dualwrite", *arguments, "--json")
    assert (valid in sentence, code) == (True, 2), sentence
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["detail"], error["exit_code"]) == (sentence, 2)
    assert error["kind"] in ("UsageError", "UnknownName")
    assert not StreamControl.objects.exists()


def test_without_json_nothing_of_a_refusal_is_on_stdout(stores: None, capsys: pytest.CaptureFixture[str]) -> None:
    refusal("dualwrite", "pause", *STREAM)
    assert capsys.readouterr().out == ""


def test_differences_point_to_a_backfill_in_gate_and_status(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A")
    enabled(memberships)
    tampered(registry, "UPDATE index_memberships SET weight = 7")
    assert validate(memberships).status == "failed"
    mend = (
        "manage.py dualwrite backfill --stream index_memberships, "
        "then manage.py run_validation --stream index_memberships --level strict"
    )
    (closed,) = [one for one in findings(memberships, Stage.SHADOW, soak=False) if one.gate == "validation"]
    (told,) = [gate for gate in stream_status(memberships)["blocked_by"] if gate["gate"] == "validation"]
    assert (closed.mend, told["mend"]) == (mend, mend)
    assert "0 missing, 0 extra, 1 different" in told["why"]
    ValidationRun.objects.update(generation=-1)
    (closed,) = [one for one in findings(memberships, Stage.SHADOW, soak=False) if one.gate == "validation"]
    assert "backfill" not in closed.mend
    assert "validation" not in [gate["gate"] for gate in stream_status(memberships)["blocked_by"]]


def test_status_tells_all_broken_triggers_of_a_store_in_one_line(screener: Session, memberships: Stream) -> None:
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER USER")
    (told,) = stream_status(memberships)["blocked_by"]
    assert told["why"].startswith("screener: trigger ")
    assert "; trigger " in told["why"]
    assert told["mend"] == "manage.py dualwrite install --store screener"


def test_another_verb_that_has_no_row_yet_is_told_as_what_it_may_be(stores: None, memberships: Stream) -> None:
    with (
        only_run(transition.KIND, memberships),
        pytest.raises(AlreadyRunning, match="another verb of stream index_memberships, which is enabling, backfilling"),
        transition.only(memberships, TESTER),
    ):
        pass
