"""Repair notes the keys that differ and nothing else; the relay heals them, and a comparison confirms it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from dualwrite import failpoints
from dualwrite.control.disable import disable
from dualwrite.control.pause import pause
from dualwrite.exceptions import Cancelled, InvalidParameter, Refused
from dualwrite.models import Audit, ValidationRun
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import engine, recheck
from dualwrite.validation.repair import Repair
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.support import add, at_work, enabled, fill, mirrored, noted, tampered

STREAM = ("--stream", "index_memberships", "--level", "strict")
REPAIR = Repair(TESTER)


@pytest.fixture
def equal(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Both stores with the same thousand records, of which a few may be repaired and no relay waited for in vain."""
    fill(screener, 1_000)
    add(screener, "A", weight=1)
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_REPAIR_TIMEOUT_SECONDS", "20")
    monkeypatch.setattr(recheck, "PATIENCE", (0.1, 0.2))
    return memberships


@contextmanager
def relayed(stream: Stream) -> Iterator[None]:
    """A relay at work."""
    stop = threading.Event()

    def relay() -> None:
        while not stop.wait(0.05):
            worker.drain(stream)

    with at_work(relay):
        try:
            yield
        finally:
            stop.set()


def plant(registry: Session) -> None:
    """A record changed, one lost, one too many."""
    tampered(registry, "UPDATE index_memberships SET weight = 9 WHERE instrument_key = 'NSE:A'")
    tampered(registry, "DELETE FROM index_memberships WHERE instrument_key = 'NSE:S7'")
    tampered(registry, "INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:NONE', 'X')")


KEYS = {'["NSE:A","NIFTY 50"]', '["NSE:S7","X"]', '["NSE:NONE","X"]'}


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], int]:
    """The only run of the command's answer in JSON, and the exit code."""
    capsys.readouterr()
    code = 0
    try:
        call_command("run_validation", *STREAM, *arguments, "--json")
    except SystemExit as exc:
        code = int(exc.code or 0)
    except CommandError as exc:
        code = exc.returncode
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    return run, code


def test_every_kind_of_difference_is_healed_by_the_relay_and_confirmed(
    equal: Stream, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(registry)
    with relayed(equal):
        run, code = answered(capsys, "--repair", "--reason", "a test")
    assert (run["repair"]["noted"], run["repair"]["repaired"], run["repair"]["still_different"]) == (3, 3, 0)
    assert (run["status"], code) == ("warning", 0), "the run says what it found, the exit code that it is mended"
    assert set(run["repair"]["keys"]) == KEYS
    assert validate(equal).status == "passed"
    audited = Audit.objects.get(verb="repair")
    assert audited.evidence is not None
    assert (audited.reason, audited.evidence["count"], audited.evidence["run"]) == ("a test", 3, run["id"])
    assert set(audited.evidence["keys"]) == KEYS


def test_a_dry_run_lists_the_keys_and_changes_nothing(
    equal: Stream, screener: Session, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(registry)
    before = mirrored(registry)
    run, code = answered(capsys, "--repair", "--dry-run")
    assert (run["repair"]["to_repair"], set(run["repair"]["keys"]), run["repair"]["noted"]) == (3, KEYS, 0)
    assert (code, noted(screener), mirrored(registry)) == (1, [], before)
    assert not Audit.objects.filter(verb="repair").exists()
    with pytest.raises(SystemExit):
        call_command("run_validation", *STREAM, "--repair", "--dry-run")
    assert 'would note ["NSE:A","NIFTY 50"]' in capsys.readouterr().out


def test_nothing_is_written_but_notes_in_the_authoritys_outbox(
    equal: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_REPAIR_TIMEOUT_SECONDS", "0.2")
    plant(registry)
    before = mirrored(registry)
    run = validate(equal, repair=REPAIR)
    assert (set(noted(screener)), mirrored(registry)) == (KEYS, before)
    assert run.repair is not None
    assert (run.repair["repaired"], run.repair["waiting"]) == (0, 3)
    assert run.repair["sentence"] == "3 keys are noted and wait still: no relay has seen to them in time"


def test_more_keys_than_the_limit_are_repaired_only_with_force_and_a_reason(
    equal: Stream,
    screener: Session,
    registry: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_REPAIR_MAX_KEYS", "2")
    plant(registry)
    run, code = answered(capsys, "--repair")
    assert (run["repair"]["noted"], noted(screener), code) == (0, [], 1)
    assert run["repair"]["sentence"] == "3 keys differ, more than 2; --force --reason WHY repairs them all the same"
    with relayed(equal):
        run, code = answered(capsys, "--repair", "--force", "--reason", "they are ours")
    assert (run["repair"]["repaired"], code) == (3, 0)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_REPAIR_MAX_KEYS", "3")
    plant_again(registry)
    with relayed(equal):
        assert answered(capsys, "--repair")[0]["repair"]["repaired"] == 1


def plant_again(registry: Session) -> None:
    tampered(registry, "UPDATE index_memberships SET weight = 9 WHERE instrument_key = 'NSE:A'")


def test_keys_on_their_way_are_not_repaired(equal: Stream, screener: Session, registry: Session) -> None:
    screener.execute("UPDATE index_memberships SET weight = 2 WHERE symbol = 'A'")
    before = noted(screener)
    run = validate(equal, repair=REPAIR)
    assert run.status == "warning"
    assert run.repair is not None
    assert (run.repair["to_repair"], noted(screener)) == (0, before)


def test_parked_keys_are_left_to_redrive(
    equal: Stream, screener: Session, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    add(screener, "BAD", weight="101")
    worker.drain(equal)
    plant_again(registry)
    with relayed(equal):
        run, code = answered(capsys, "--repair")
    assert run["repair"]["parked"] == ['["NSE:BAD","NIFTY 50"]']
    assert (run["repair"]["noted"], run["repair"]["repaired"], code) == (1, 1, 1)
    with pytest.raises(SystemExit):
        call_command("run_validation", *STREAM, "--repair")
    assert "manage.py dualwrite redrive --stream index_memberships sends them again" in capsys.readouterr().out


def test_more_keys_than_a_run_keeps_are_repaired_in_rounds(
    equal: Stream, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "KEPT", 400)
    tampered(registry, "UPDATE index_memberships SET weight = 9 WHERE instrument_key LIKE 'NSE:S_%'")
    with relayed(equal):
        run = validate(equal, repair=REPAIR)
    assert run.field_mismatch == 1_000
    assert run.repair is not None
    assert (run.repair["noted"], run.repair["repaired"], run.repair["complete"]) == (1_000, 1_000, True)
    assert validate(equal).status == "passed"


def test_where_nothing_is_relayed_a_repair_is_refused_before_anything_is_compared(
    equal: Stream, registry: Session
) -> None:
    plant(registry)
    pause(equal, TESTER)
    with pytest.raises(Refused, match="stands still, so nothing would be repaired: an operator paused it"):
        validate(equal, repair=REPAIR)
    disable(equal, TESTER)
    with pytest.raises(Refused, match=r"is not mirrored; manage\.py dualwrite enable"):
        validate(equal, repair=REPAIR)
    assert not ValidationRun.objects.exists()


def test_a_repair_held_by_the_brake_says_so(equal: Stream, registry: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "0")
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_PERCENT", "0")
    tampered(registry, "INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:NONE', 'X')")
    with relayed(equal):
        run = validate(equal, repair=REPAIR)
    assert run.repair is not None
    assert (run.repair["repaired"], run.repair["waiting"]) == (0, 1)
    assert "1 keys are noted and wait still: " in run.repair["sentence"]
    assert "no relay" not in run.repair["sentence"]


def test_equal_stores_need_no_repair(equal: Stream, capsys: pytest.CaptureFixture[str]) -> None:
    run, code = answered(capsys, "--repair")
    assert (run["status"], run["repair"]["to_repair"], code) == ("passed", 0, 0)
    assert not Audit.objects.filter(verb="repair").exists()


def test_a_repair_that_is_broken_off_says_what_it_has_noted(
    equal: Stream, screener: Session, registry: Session
) -> None:
    plant(registry)

    def cancel() -> None:
        raise Cancelled("by somebody")

    failpoints.at("repair noted", cancel)
    try:
        run = validate(equal, repair=REPAIR)
    finally:
        failpoints.clear()
    assert run.status == "cancelled"
    assert run.repair is not None
    assert run.repair["noted"] == len(noted(screener)) > 0
    assert run.repair["sentence"] == f"broken off; {run.repair['noted']} keys are noted and are relayed all the same"


@pytest.mark.parametrize(
    "name", ["REPAIR_MAX_KEYS", "REPAIR_TIMEOUT_SECONDS", "THROTTLE_SESSIONS", "THROTTLE_PAUSE_SECONDS"]
)
def test_a_wrong_parameter_of_a_repair_is_told_before_anything_is_compared(
    equal: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plant(registry)
    monkeypatch.setenv(f"INSTRUMENT_REGISTRY_{name}", "many")
    monkeypatch.setattr("dualwrite.validation.run.compare", lambda *args, **names: pytest.fail("it was compared"))
    with pytest.raises(InvalidParameter, match=name):
        validate(equal, repair=REPAIR)
    assert noted(screener) == []
    assert (ValidationRun.objects.get().status, ValidationRun.objects.get().authority_rows) == ("error", None)


def test_a_wrong_parameter_of_repairs_keeps_nobody_from_comparing(
    equal: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_REPAIR_MAX_KEYS", "many")
    assert validate(equal).status == "passed"


def test_a_wrong_parameter_of_a_rule_is_told_before_anything_is_compared(
    equal: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_WEIGHT_SUM_TOLERANCE", "many")
    monkeypatch.setattr("dualwrite.validation.run.compare", lambda *args, **names: pytest.fail("it was compared"))
    with pytest.raises(InvalidParameter, match="WEIGHT_SUM_TOLERANCE"):
        validate(equal)
