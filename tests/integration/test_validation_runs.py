"""A validation as a run: killed, cut off, cancelled, done again or skipped, it never passes, and says why."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from dualwrite import runs
from dualwrite.control.disable import disable
from dualwrite.control.gates import findings
from dualwrite.control.pause import pause
from dualwrite.control.status import stream_status
from dualwrite.exceptions import AlreadyRunning, Refused, StoreUnreachable, UsageError
from dualwrite.models import Audit, ValidationRun
from dualwrite.runs import Watch
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import cancel, resume, validate
from dualwrite.validation.scope import Scope
from tests.conftest import TESTER
from tests.integration import away
from tests.process import start
from tests.support import add, at_work, column, enabled, one, tampered, until_it_waits

STREAM = ("--stream", "index_memberships")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def equal(screener: Session, memberships: Stream) -> Stream:
    """Both stores with the same hundred records."""
    for number in range(100):
        add(screener, f"S{number}", weight=Decimal(number) / 7, sector="x")
    enabled(memberships)
    return memberships


@contextmanager
def held(store: Store) -> Iterator[None]:
    """Nobody can read the memberships of that store."""
    with dedicated(store, "test") as session, session.transaction():
        session.execute("LOCK TABLE index_memberships IN ACCESS EXCLUSIVE MODE")
        yield


def last() -> ValidationRun:
    """The newest row, as it is in the database."""
    found = ValidationRun.objects.first()
    assert found is not None
    return found


def until_a_process_waits(observer: Session, process: "subprocess.Popen[str]") -> None:
    """Return when the process waits for the table."""
    pace = threading.Event()
    for _ in range(600):
        if one(observer, WAITING):
            return
        assert process.poll() is None, process.communicate()
        pace.wait(0.05)
    raise AssertionError("nothing waits within 30 s")


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], int]:
    """What the command answers in JSON, and its exit code."""
    capsys.readouterr()
    code = 0
    try:
        call_command("run_validation", *arguments, "--json")
    except SystemExit as exc:
        code = int(exc.code or 0)
    except CommandError as exc:
        code = exc.returncode
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found, code


def test_a_killed_validation_is_an_error_and_the_next_one_completes(
    equal: Stream, screener: Session, registry: Session
) -> None:
    with held(Store.REGISTRY):
        process = start("run_validation", *STREAM, "--level", "strict")
        until_a_process_waits(registry, process)
        assert last().status == "running"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
    number, owner = last().pk, last().owner
    assert owner.endswith(f":{process.pid}")
    assert last().status == "running", "nobody has looked yet"
    assert not stream_status(equal)["verified"]
    assert validate(equal).status == "passed"
    left = ValidationRun.objects.get(pk=number)
    assert (left.status, left.error) == ("error", f"its process ({owner}) died or lost its connection; run it again")
    assert left.finished_at is not None


def test_ctrl_c_is_a_cancelled_run(equal: Stream, registry: Session) -> None:
    with held(Store.REGISTRY):
        process = start("run_validation", *STREAM, "--level", "strict")
        until_a_process_waits(registry, process)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert (process.returncode, "interrupted" in told) == (130, True), told
    assert (last().status, last().error) == ("cancelled", "cancelled by SIGINT")


@pytest.mark.parametrize("store", list(Store))
def test_a_connection_that_is_killed_in_the_middle_is_an_error_with_a_sentence(
    equal: Stream, screener: Session, registry: Session, store: Store
) -> None:
    session = screener if store is Store.SCREENER else registry
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with held(store), at_work(lambda: validate(equal)) as work:
        until_it_waits(session, work)
        assert column(session, kill) == [True]
        with pytest.raises(StoreUnreachable, match=str(store)):
            work.result(timeout=20)
    assert last().status == "error"
    assert last().error.startswith(f"A database cannot be reached: {store}")
    assert validate(equal).status == "passed"


def test_a_server_that_is_away_is_kept_as_an_error(equal: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        away.move(Store.SCREENER, away.CLOSED_PORT, patch)
        with pytest.raises(StoreUnreachable):
            validate(equal)
    assert (last().status, last().finished_at is not None) == ("error", True)
    assert "screener" in last().error


def test_two_at_once_are_one_run_and_one_refusal_that_names_it(
    equal: Stream, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(Store.REGISTRY), at_work(lambda: validate(equal)) as work:
        until_it_waits(registry, work)
        found, code = answered(capsys, *STREAM)
        number = last().pk
        cancel(number, TESTER)
        assert work.result(timeout=20).status == "cancelled"
    assert (found["error"]["kind"], code) == ("AlreadyRunning", 4)
    assert f"run {number}, {last().owner} since" in found["error"]["detail"]
    assert f"run_validation --cancel {number}" in found["error"]["detail"]
    assert ValidationRun.objects.count() == 1


def test_a_cancelled_validation_ends_its_statements_and_is_in_the_audit(
    equal: Stream, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(Store.REGISTRY), at_work(lambda: validate(equal)) as work:
        until_it_waits(registry, work)
        found, code = answered(capsys, "--cancel", str(last().pk), "--reason", "in the way")
        run = work.result(timeout=5)
    assert (run.status, run.error.startswith("cancelled by command:")) == ("cancelled", True)
    assert (found["runs"][0]["status"], code) == ("cancelled", 0)
    audited = Audit.objects.get(verb="cancel validation")
    assert audited.evidence is not None
    assert (audited.reason, audited.evidence["run"]) == ("in the way", run.pk)
    assert not stream_status(equal)["verified"]


def test_a_cancelled_run_is_done_again_as_it_was_configured(equal: Stream, registry: Session) -> None:
    with held(Store.REGISTRY), at_work(lambda: validate(equal, "basic")) as work:
        until_it_waits(registry, work)
        cancel(last().pk, TESTER)
        cancelled = work.result(timeout=20)
    again = resume(cancelled.pk)
    assert (again.status, again.level, again.scope, again.resumes) == ("passed", "basic", "whole", cancelled.pk)
    with pytest.raises(Refused, match="came to its end, as passed; there is nothing to resume"):
        resume(again.pk)
    with pytest.raises(UsageError, match="is about stream index_memberships, not instruments"):
        resume(cancelled.pk, stream="instruments")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--cancel", "99"), "there is no validation run 99"),
        (("--resume", "99"), "there is no validation run 99"),
        (("--resume", "1", "--level", "basic"), "leave --level out"),
        (("--cancel", "1", "--repair"), "--cancel takes nothing else"),
        (("--dry-run",), "--dry-run goes with --repair"),
        (("--force",), "--force goes with --repair"),
        (("--repair", "--force", "--reason", " "), "force needs a reason"),
        (("--batch-size", "0"), "--batch-size 0; valid: a number from 1 to 1e+06"),
        (("--level", "deep"), "valid: basic, detailed, strict"),
    ],
)
def test_what_is_no_valid_request_is_said_in_one_sentence(
    stores: None, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    found, code = answered(capsys, *arguments)
    assert (why in found["error"]["detail"], code) == (True, 2), found
    assert not ValidationRun.objects.exists()


def test_the_level_is_the_parameters_unless_said(
    equal: Stream, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, code = answered(capsys, *STREAM)
    assert (found["runs"][0]["level"], code) == ("detailed", 0)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_LEVEL", "basic")
    assert answered(capsys, *STREAM, "--full")[0]["runs"][0]["level"] == "basic"
    assert answered(capsys, *STREAM, "--level", "strict", "--batch-size", "7")[0]["runs"][0]["level"] == "strict"


def test_a_run_says_what_it_counted_and_what_it_was_run_with(
    equal: Stream, registry: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered(registry, "UPDATE index_memberships SET sector = 'y' WHERE instrument_key IN ('NSE:S1', 'NSE:S2')")
    tampered(registry, "DELETE FROM index_memberships WHERE instrument_key = 'NSE:S3'")
    found, code = answered(capsys, *STREAM, "--level", "strict")
    (run,) = found["runs"]
    assert (run["status"], code) == ("failed", 1), "3 of 99 differ, 2 % are tolerated"
    assert (run["authority_rows"], run["mirror_rows"], run["matched"]) == (100, 99, 97)
    assert (run["missing_in_mirror"], run["extra_in_mirror"], run["field_mismatch"]) == (1, 0, 2)
    assert run["fields"] == {"sector": 2}
    assert run["passed_thresholds"] is False
    assert [violation["threshold"] for violation in run["violations"]] == ["mismatch_percent"]
    assert run["thresholds"] == {"missing_percent": 5.0, "mismatch_percent": 2.0, "drift_percent": 10.0}
    assert set(run["snapshots"]) == {"screener", "registry"}
    assert (run["seconds"] > 0, run["rows_per_second"] > 0) == (True, True)
    assert run["configuration"]["tolerance"] == {"numeric_percent": 0.01, "date_seconds": 3600.0}
    assert run["configuration"]["method"]


class Counting(Watch):
    """Remembers by how many rows it was advanced at a time."""

    steps: list[int]

    def advance(self, rows: int) -> None:
        self.steps.append(rows)
        super().advance(rows)


def test_rows_are_taken_over_in_batches_of_the_size_that_was_asked_for(equal: Stream, registry: Session) -> None:
    tampered(registry, "UPDATE index_memberships SET sector = 'y'")
    watch = Counting(batch_size=7)
    watch.steps = []
    assert validate(equal, watch=watch).field_mismatch == 100
    assert watch.steps.count(7) >= 2 * (100 // 7), "both stores' rows come seven at a time"


def test_progress_goes_to_stderr_in_json_lines(equal: Stream, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_validation", *STREAM, "--json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines
    assert all(line["stream"] == "index_memberships" and line["phase"] for line in lines)


def test_only_a_clean_strict_run_of_the_whole_stream_opens_the_gate(equal: Stream, registry: Session) -> None:
    def opens() -> bool:
        (gate,) = [one for one in findings(equal, Stage.SHADOW, soak=False) if one.gate == "validation"]
        return gate.passed

    assert validate(equal, "basic").status == "passed"
    assert validate(equal, "detailed").status == "passed"
    assert not opens()
    strict = ValidationRun.objects.filter(pk=validate(equal, "strict").pk)
    strict.update(scope="slice 0/48")
    assert not opens()
    strict.update(scope="whole")
    ValidationRun.objects.create(stream=equal.name, level="strict", status="cancelled")
    ValidationRun.objects.create(stream=equal.name, level="strict", status="skipped")
    assert opens(), "runs that say nothing leave what was proven"
    assert stream_status(equal)["verified"]
    tampered(registry, "UPDATE index_memberships SET weight = 99 WHERE instrument_key = 'NSE:S1'")
    assert validate(equal, "detailed").status == "warning"
    assert not opens(), "what a run of any level found counts"


def test_what_nobody_asked_for_is_skipped_where_there_is_nothing_to_compare(equal: Stream) -> None:
    assert validate(equal, unattended=True).status == "passed"
    pause(equal, TESTER)
    paused = validate(equal, unattended=True)
    assert (paused.status, paused.error) == ("skipped", "the stream stands still: an operator paused it")
    assert validate(equal).status == "passed", "an operator may look all the same"
    disable(equal, TESTER)
    assert validate(equal, unattended=True).error == "the stream is not mirrored: it is off or disabled"


def test_a_run_under_way_is_not_begun_beside_another_one_by_resuming(equal: Stream, registry: Session) -> None:
    left = ValidationRun.objects.create(stream=equal.name, level="strict", owner="far:1", backend=1)
    with held(Store.REGISTRY), at_work(lambda: validate(equal)) as work:
        until_it_waits(registry, work)
        with pytest.raises(AlreadyRunning, match=f"run {last().pk}, "):
            resume(left.pk)
        cancel(last().pk, TESTER)
    assert ValidationRun.objects.get(pk=left.pk).status == "error"


def test_one_stream_that_is_busy_keeps_no_other_from_being_compared(
    equal: Stream, instruments: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    enabled(instruments)
    with runs.only(ValidationRun, equal), pytest.raises(SystemExit) as left:
        call_command("run_validation", "--level", "strict", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert [run["stream"] for run in answer["runs"]] == ["instruments"]
    assert "already running" in answer["passed_over"]["index_memberships"]
    assert left.value.code == 4


KEYS = [f'["NSE:S{number}","NIFTY 50"]' for number in range(30)]


def stopped(stream: Stream, registry: Session, scope: Scope | None, *, incremental: bool = False) -> ValidationRun:
    """A run of that scope that was cancelled in its midst."""
    with held(Store.REGISTRY), at_work(lambda: validate(stream, scope=scope, incremental=incremental)) as work:
        until_it_waits(registry, work)
        cancel(last().pk, TESTER)
        return work.result(timeout=20)


@pytest.mark.parametrize("scope", [Scope.keys(KEYS), Scope.slice(3, 48).and_keys(KEYS), Scope.slice(3, 48)])
def test_a_run_of_a_part_is_done_again_with_the_very_same_part(equal: Stream, registry: Session, scope: Scope) -> None:
    tampered(registry, "UPDATE index_memberships SET sector = 'y' WHERE instrument_key LIKE 'NSE:S2%'")
    before = stopped(equal, registry, scope)
    assert before.status == "cancelled"
    again, anew = resume(before.pk), validate(equal, scope=scope)
    assert again.scope == before.scope == str(scope)
    assert (again.authority_rows, again.differences) == (anew.authority_rows, anew.differences)
    assert again.resumes == before.pk


def test_what_could_not_be_begun_is_done_again_as_it_was_asked_for(
    equal: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate(equal)
    scope = Scope.slice(3, 48).and_keys(KEYS)
    with monkeypatch.context() as patch:
        away.move(Store.SCREENER, away.CLOSED_PORT, patch)
        with pytest.raises(StoreUnreachable):
            validate(equal, scope=scope)
        with pytest.raises(StoreUnreachable):
            validate(equal, incremental=True)
    incremental, part = ValidationRun.objects.filter(status="error")
    assert resume(part.pk).scope == str(scope)
    assert resume(incremental.pk).scope == "slice 0/48"


@pytest.mark.parametrize("key", ["S1", '["NSE:S1"]', '["NSE:S1",5]', '["NSE:S1", "NIFTY 50"]'])
def test_what_is_no_key_is_refused_before_there_is_a_run(
    equal: Stream, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    with pytest.raises(
        UsageError, match="is no key of index_memberships; valid: a JSON array of instrument_key, index_id"
    ):
        validate(equal, scope=Scope.keys([key]))
    assert not ValidationRun.objects.exists()
    broken = ValidationRun.objects.create(
        stream=equal.name, level="strict", status="error", scope=str(Scope.slice(1, 2).and_keys([key]))
    )
    found, code = answered(capsys, "--resume", str(broken.pk))
    assert ("is no key of index_memberships" in found["error"]["detail"], code) == (True, 2)
