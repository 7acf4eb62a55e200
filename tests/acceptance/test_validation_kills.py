"""A validation in whose midst the relay, a connection or the run itself is killed: no false word, a clear status.

Each is killed at a phase the run has just begun, while a lock holds what the phase has to do.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dualwrite.control.pause import pause, resume
from dualwrite.exceptions import StoreUnreachable
from dualwrite.models import ValidationRun
from dualwrite.relay import worker
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation import recheck
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.process import start
from tests.support import at_work, column, enabled, fill, one, tampered, until_it_waits

ROWS = 300
DIGESTS, DRILL, AGAIN = "comparing digests", "looking into", "looking at "
LOCKED = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class At(Watch):
    """Does something once, at the beginning of each of these phases."""

    def __init__(self, actions: dict[str, Callable[[], object]]) -> None:
        super().__init__()
        self.left = dict(actions)

    def phase(self, sentence: str, total_rows: int | None = None) -> None:
        super().phase(sentence, total_rows)
        for beginning in [known for known in self.left if sentence.startswith(known)]:
            self.left.pop(beginning)()


@pytest.fixture
def equal(screener: Session, memberships: Stream) -> Stream:
    """Both stores with the same records."""
    fill(screener, ROWS)
    enabled(memberships)
    return memberships


def until(condition: Callable[[], object], what: str) -> None:
    """Return when it holds."""
    calm, deadline = threading.Event(), time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        calm.wait(0.02)


def counts(run: ValidationRun) -> tuple[int, int, int, int]:
    """Missing, extra, mismatch and stuck."""
    return run.missing_in_mirror, run.extra_in_mirror, run.field_mismatch, run.relay_stuck


@contextmanager
def relay_held_in_its_batch(screener: Session, registry: Session) -> Iterator["subprocess.Popen[str]"]:
    """A relay process that cannot apply ten keys just written, since their mirror's rows are locked."""
    with ExitStack() as stack:
        holder = stack.enter_context(dedicated(Store.REGISTRY, "test"))
        process = start("relay")
        stack.callback(process.communicate)
        stack.callback(process.kill)
        stack.enter_context(holder.transaction())
        mine = "SELECT FROM index_memberships WHERE instrument_key LIKE 'NSE:S10_' FOR UPDATE"
        assert holder.execute(mine).rowcount == 10
        screener.execute("UPDATE index_memberships SET sector = 'new' WHERE symbol LIKE 'S10_'")
        until(lambda: one(registry, f"SELECT count(*) {LOCKED}"), "the relay does not come to apply")
        assert process.poll() is None
        yield process


@pytest.mark.parametrize("phase", [DIGESTS, DRILL, AGAIN])
def test_a_relay_killed_in_the_midst_leaves_what_it_had_in_hand_unsettled(
    equal: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.setattr(recheck, "PATIENCE", (0.1, 0.2, 0.5))
    with relay_held_in_its_batch(screener, registry) as relay:

        def kill() -> None:
            relay.send_signal(signal.SIGKILL)
            relay.wait()

        watch = At({phase: kill})
        run = validate(equal, watch=watch)
    assert watch.left == {}
    assert (run.status, counts(run), run.unsettled) == ("warning", (0, 0, 0, 0), 10)
    assert {d["history"] for d in run.differences} == {"pending"}
    worker.drain(equal)
    assert validate(equal).status == "passed"


PHASES = {"digests": DIGESTS, "drill-down": DRILL, "recheck": AGAIN}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("store", list(Store))
def test_a_connection_killed_in_any_phase_is_an_error_and_the_next_run_of_the_process_completes(
    equal: Stream, screener: Session, registry: Session, store: Store, phase: str
) -> None:
    tampered(registry, "UPDATE index_memberships SET sector = 'odd' WHERE instrument_key = 'NSE:S7'")
    observer = screener if store is Store.SCREENER else registry
    with dedicated(store, "test") as holder:
        watch = At({PHASES[phase]: lambda: holder.execute("BEGIN; LOCK TABLE index_memberships")})

        def broken_and_again() -> tuple[str, ValidationRun]:
            with pytest.raises(StoreUnreachable) as raised:
                validate(equal, watch=watch)
            return str(raised.value), validate(equal)

        with at_work(broken_and_again) as work:
            until_it_waits(observer, work)
            assert watch.left == {}
            assert column(observer, f"SELECT pg_terminate_backend(pid) {LOCKED}") == [True]
            holder.execute("COMMIT")
            said, again = work.result(timeout=30)
    first = ValidationRun.objects.earliest("id")
    assert (first.status, first.finished_at is not None, first.differences) == ("error", True, [])
    assert (first.error, first.error.startswith(f"A database cannot be reached: {store}")) == (said, True)
    assert (again.status, counts(again), again.unsettled) == ("warning", (0, 0, 1, 0), 0)
    assert ValidationRun.objects.count() == 2


def test_a_run_killed_while_it_looks_again_is_an_error_and_the_next_one_completes(
    equal: Stream, screener: Session
) -> None:
    pause(equal, TESTER)
    screener.execute("UPDATE index_memberships SET sector = 'new' WHERE symbol = 'S7'")
    process = start("run_validation", "--stream", equal.name, "--level", "strict")
    try:
        until(lambda: _phase().startswith(AGAIN), "it does not come to look again")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    left = ValidationRun.objects.get()
    assert left.status == "running", "nobody has looked yet"
    resume(equal, TESTER)
    worker.drain(equal)
    assert validate(equal).status == "passed"
    left.refresh_from_db()
    assert (left.status, "died or lost its connection; run it again" in left.error) == ("error", True)


def _phase() -> str:
    run = ValidationRun.objects.first()
    return str(run.progress.get("phase", "")) if run else ""
