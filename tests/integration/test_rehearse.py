"""The rehearsal: it tells the truth about a switch under load, and leaves nothing behind, however it ends."""

import json
import signal
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

from dualwrite import failpoints, switch
from dualwrite.control.rehearsal import rehearse, run
from dualwrite.control.rehearsal.scratch import SCHEMA, STREAM, scratch
from dualwrite.exceptions import AlreadyRunning, Refused, StoreFailed, UsageError
from dualwrite.models import ParkedKey, StreamControl
from dualwrite.runs import only_run
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream, all_streams
from tests.conftest import TESTER
from tests.process import manage, start
from tests.support import add, at_work, column, enabled, engine_role, mirrored, one

LEFT = """
SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'dualwrite_rehearsal'
UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE proname LIKE 'rehearsal%'
UNION ALL SELECT 'state' FROM dualwrite.stream_state WHERE stream = 'rehearsal'
UNION ALL SELECT 'fence' FROM dualwrite.relay_fence WHERE stream = 'rehearsal'
UNION ALL SELECT 'installation' FROM dualwrite.installation WHERE stream = 'rehearsal'
UNION ALL SELECT 'note' FROM dualwrite.outbox WHERE lane & ~127 NOT IN (SELECT lanes FROM dualwrite.stream_state)
"""


class Killed(BaseException):
    """The process ended here: nothing catches it."""


def kill() -> None:
    """End the process, as far as its databases can tell."""
    raise Killed


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Once there and back within a second."""
    monkeypatch.setattr(run, "BETWEEN_SECONDS", 0.3)
    yield
    failpoints.clear()


def left_behind() -> list[str]:
    """What there still is of a rehearsal."""
    found: list[str] = []
    for store in Store:
        with dedicated(store, "test") as session:
            found += [f"{store} {what}" for what in column(session, LEFT)]
    found += ["control"] * StreamControl.objects.filter(stream=STREAM.name).count()
    return found + ["parked"] * ParkedKey.objects.filter(stream=STREAM.name).count()


def real_streams(session: Session) -> list[Any]:
    """Everything the engine keeps of the declared streams in one store."""
    query = """
    SELECT to_jsonb(s), to_jsonb(i), (SELECT jsonb_agg(to_jsonb(f) ORDER BY f.partition)
      FROM dualwrite.relay_fence f WHERE f.stream = s.stream)
      FROM dualwrite.stream_state s JOIN dualwrite.installation i USING (stream)
     WHERE stream <> 'rehearsal' ORDER BY stream
    """
    return session.execute(query).fetchall()


def when(sentence: str, do: Callable[[], None]) -> Callable[[str], None]:
    """A progress that does something when that is said."""
    return lambda said: do() if said.startswith(sentence) else None


def test_a_rehearsal_switches_there_and_back_loses_nothing_and_leaves_nothing(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    before = real_streams(screener), real_streams(registry)
    found = rehearse(TESTER, seconds=1, rate=100)
    assert [(done.to, done.failed) for done in found.switches] == [("registry", ""), ("screener", "")]
    assert (found.lost, found.passed) == (0, True)
    assert found.acknowledged > 50
    assert found.ordinary is not None
    assert found.ordinary.count > 50
    assert left_behind() == []
    assert (real_streams(screener), real_streams(registry)) == before
    evidence = one(registry, "SELECT evidence FROM dualwrite.audit WHERE verb = 'rehearse'")
    assert (evidence["passed"], evidence["lost"], evidence["acknowledged"]) == (True, 0, found.acknowledged)


def test_a_write_that_meets_a_switch_is_refused_sent_again_and_counted(stores: None) -> None:
    def outlast() -> None:
        Event().wait(0.2)  # so that every writer comes to wait

    failpoints.at("switch fenced", outlast)
    found = rehearse(TESTER, seconds=1, rate=200)
    assert found.passed
    assert found.refused >= 4, "each of the writers had to be refused"
    assert found.stall is not None
    assert found.stall.longest >= 0.2
    assert all(done.stall_seconds and done.stall_seconds >= 0.2 for done in found.switches)


def test_nobody_else_knows_the_scratch_stream(stores: None) -> None:
    seen: list[tuple[Stream, ...]] = []
    rehearse(TESTER, seconds=1, rate=20, progress=when("switch 1", lambda: seen.append(all_streams())))
    assert [STREAM in streams for streams in seen] == [False]


@pytest.mark.parametrize("place", ["switch caught up", "switch fenced", "switch promoted"])
def test_an_interrupted_rehearsal_removes_everything(stores: None, place: str) -> None:
    failpoints.at(place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        rehearse(TESTER, seconds=1, rate=50)
    assert left_behind() == []


def test_what_a_dead_rehearsal_left_is_removed_by_the_next(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)

    def die() -> None:
        failpoints.at("rehearsal removed from screener", kill)
        kill()

    failpoints.at("switch demoted", die)
    with pytest.raises(Killed):
        rehearse(TESTER, seconds=1, rate=100)
    failpoints.clear()
    assert left_behind() != []
    switch.require_pair()
    add(screener, "A")
    enabled(memberships)
    assert "NSE:A" in mirrored(registry), "the real stream must not mind what is left"
    assert rehearse(TESTER, seconds=1, rate=50).passed
    assert left_behind() == []


def test_a_scratch_stream_that_was_never_removed_is_replaced(stores: None) -> None:
    abandoned = scratch(TESTER)
    abandoned.__enter__()
    try:
        assert rehearse(TESTER, seconds=1, rate=50).passed
    finally:
        abandoned.__exit__(None, None, None)
    assert left_behind() == []


def test_two_rehearsals_at_once_are_one_too_many(stores: None) -> None:
    with only_run("rehearse", STREAM), pytest.raises(AlreadyRunning):
        rehearse(TESTER, seconds=1, rate=50)


def test_an_account_that_may_not_create_a_schema_is_refused_before_anything_is_made(
    screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch) as role, pytest.raises(Refused, match=f"role {role} may not create a sch"):
        rehearse(TESTER, seconds=1, rate=50)
    assert left_behind() == []


def test_a_schema_that_holds_something_else_is_left_alone(registry: Session) -> None:
    registry.execute("CREATE SCHEMA dualwrite_rehearsal CREATE TABLE something_else (id int)")
    try:
        with pytest.raises(Refused, match=f"schema {SCHEMA} in .* holds more than a rehearsal"):
            rehearse(TESTER, seconds=1, rate=50)
        assert one(registry, "SELECT to_regclass('dualwrite_rehearsal.something_else') IS NOT NULL")
    finally:
        registry.execute("DROP SCHEMA dualwrite_rehearsal CASCADE")


def test_a_lost_write_is_seen_and_named(registry: Session) -> None:
    lost: list[str] = []

    def lose() -> None:
        with registry.transaction():
            marker = one(
                registry, "SELECT stream || ':' || epoch FROM dualwrite.stream_state WHERE stream = 'rehearsal'"
            )
            registry.execute("SELECT set_config('dualwrite.relay', %s, true)", (marker,))
            lost.append(
                one(
                    registry,
                    "DELETE FROM dualwrite_rehearsal.records WHERE code ="
                    " (SELECT min(code) FROM dualwrite_rehearsal.records) RETURNING code",
                )
            )

    found = rehearse(TESTER, seconds=1, rate=50, progress=when("relaying the last keys", lose))
    assert (found.lost, found.lost_keys, found.passed) == (1, lost, False)


def test_a_switch_that_is_taken_back_is_told_and_nothing_is_lost(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_TIMEOUT_SECONDS", "0.1")

    def outlast() -> None:
        Event().wait(0.3)

    failpoints.at("switch fenced", outlast)
    found = rehearse(TESTER, seconds=1, rate=100)
    assert [done.to for done in found.switches] == ["registry", "registry"]
    assert all("taken back" in done.failed for done in found.switches)
    assert (found.lost, found.passed) == (0, False)


def test_an_error_of_a_writer_ends_the_rehearsal_and_everything_is_removed(screener: Session) -> None:
    def break_table() -> None:
        screener.execute("ALTER TABLE dualwrite_rehearsal.records ADD CONSTRAINT no_more CHECK (value < 0) NOT VALID")

    with pytest.raises(StoreFailed, match="no_more"):
        rehearse(TESTER, seconds=1, rate=50, progress=when("switch 1", break_table))
    assert left_behind() == []


@pytest.mark.parametrize(("seconds", "rate"), [(0, 1), (1, 0), (1, 1e9)])
def test_values_out_of_bounds_are_a_wrong_use(stores: None, seconds: float, rate: float) -> None:
    with pytest.raises(UsageError, match="valid: "):
        rehearse(TESTER, seconds=seconds, rate=rate)


def test_the_load_goes_on_when_rehearsed_beside_writes_to_a_real_stream(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)

    def write() -> None:
        for number in range(50):
            add(screener, f"R{number}")

    with at_work(lambda: rehearse(TESTER, seconds=1, rate=50)) as rehearsing:
        write()
        assert rehearsing.result(60).passed
    enabled(memberships)
    assert len(mirrored(registry)) == 50


def test_the_command_answers_in_json_and_with_its_exit_code(stores: None) -> None:
    done = manage("dualwrite", "rehearse", "--seconds", "1", "--rate", "50", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["passed"], found["lost"]) == (True, 0)
    assert len(found["switches"]) == 2
    assert "Traceback" not in done.stderr


def test_the_command_takes_no_real_stream(stores: None) -> None:
    done = manage("dualwrite", "rehearse", "--stream", "index_memberships")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a stream of its own" in done.stderr


def test_ctrl_c_ends_the_command_in_one_line_and_removes_everything(stores: None) -> None:
    command = start("dualwrite", "rehearse", "--seconds", "60")
    assert command.stderr is not None
    said = next(line for line in command.stderr if line.startswith("switch"))
    command.send_signal(signal.SIGINT)
    _, rest = command.communicate(timeout=60)
    assert command.returncode == 130, said + rest
    assert "Traceback" not in rest
    assert left_behind() == []
