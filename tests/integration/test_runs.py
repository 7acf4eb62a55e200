"""Run control: one run at a time, seen by all, stopped when asked, an error when its process or its lock is lost."""

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import errors

from dualwrite import runs
from dualwrite.exceptions import AlreadyRunning, Refused, RunLost, UsageError
from dualwrite.models import ValidationRun
from dualwrite.runs import Outcome, Progress, Watch
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.support import at_work, column, one

Work = Callable[[Watch], None]


def conducted(stream: Stream, work: Work, watch: Watch | None = None) -> ValidationRun:
    """A run that does the work and passes."""
    watch = watch or Watch()
    with runs.only(ValidationRun, stream) as owner:
        run = ValidationRun.objects.create(stream=stream.name, level="strict", **owner.as_fields())

        def passes() -> Outcome:
            work(watch)
            return Outcome("passed", fields={"matched": 7})

        runs.conduct(run, owner, watch, Store.SCREENER, passes)
    return run


class Sleeper:
    """A long statement on a session that the run made known; `begun` when it is about to be sent."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def __call__(self, watch: Watch) -> None:
        with dedicated(Store.SCREENER, "sleeper") as session, watch.session(session):
            self.begun.set()
            session.execute("SELECT pg_sleep(60)")


#: Sessions of this database only: other workers of the suite use the same server.
SLEEPING: LiteralString = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


def kept() -> ValidationRun:
    """The only row, as it is in the database."""
    return ValidationRun.objects.get()


def until_it_sleeps(screener: Session, sleeper: Sleeper) -> None:
    """Return when the statement runs."""
    assert sleeper.begun.wait(20)
    pace = threading.Event()
    for _ in range(400):
        if one(screener, "SELECT count(*) " + SLEEPING):
            return
        pace.wait(0.05)
    raise AssertionError("no statement within 20 s")


def test_a_run_is_closed_as_its_work_says(stores: None, memberships: Stream) -> None:
    run = conducted(memberships, lambda watch: None)
    assert (run.status, run.matched, run.owner) == ("passed", 7, f"{socket.gethostname()}:{os.getpid()}")
    assert (kept().status, kept().matched, kept().finished_at) == ("passed", 7, run.finished_at)
    assert runs.holder("validation", memberships.name) is None


def test_a_second_run_is_refused_naming_the_first_its_owner_and_how_to_cancel_it(
    screener: Session, memberships: Stream
) -> None:
    sleeper = Sleeper()
    with at_work(lambda: conducted(memberships, sleeper)):
        until_it_sleeps(screener, sleeper)
        number, owner = kept().pk, kept().owner
        with pytest.raises(AlreadyRunning) as refused:
            conducted(memberships, lambda watch: None)
        runs.cancel(ValidationRun, number, "anna")
    sentence = str(refused.value)
    assert sentence.startswith(f"It is already running: validation of stream index_memberships: run {number}, {owner} ")
    assert sentence.endswith(f"manage.py run_validation --cancel {number}")
    assert refused.value.exit_code == 4
    assert ValidationRun.objects.count() == 1


def test_runs_of_other_streams_go_on_beside_it(memberships: Stream, instruments: Stream, screener: Session) -> None:
    with runs.only(ValidationRun, memberships):
        assert conducted(instruments, lambda watch: None).status == "passed"


def test_a_cancelled_run_ends_its_statement_and_never_passes(screener: Session, memberships: Stream) -> None:
    sleeper = Sleeper()
    with at_work(lambda: conducted(memberships, sleeper)) as work:
        until_it_sleeps(screener, sleeper)
        runs.cancel(ValidationRun, kept().pk, "anna")
        run = work.result(timeout=5)
    assert (run.status, run.error, run.matched) == ("cancelled", "cancelled by anna", None)
    assert one(screener, "SELECT count(*) " + SLEEPING) == 0


def test_a_run_that_is_cancelled_while_it_counts_stops_at_its_next_word(stores: None, memberships: Stream) -> None:
    begun = threading.Event()

    def count(watch: Watch) -> None:
        begun.set()
        pace = threading.Event()
        for _ in range(1_000):
            watch.advance(1)
            pace.wait(0.01)

    with at_work(lambda: conducted(memberships, count)) as work:
        assert begun.wait(20)
        runs.cancel(ValidationRun, kept().pk, "anna")
        assert work.result(timeout=5).status == "cancelled"


def test_a_statement_that_somebody_else_cancelled_is_an_error_and_no_cancel(
    screener: Session, memberships: Stream
) -> None:
    sleeper = Sleeper()
    with at_work(lambda: conducted(memberships, sleeper)) as work:
        until_it_sleeps(screener, sleeper)
        column(screener, "SELECT pg_cancel_backend(pid) " + SLEEPING)
        with pytest.raises(errors.QueryCanceled):
            work.result(timeout=20)
    assert (kept().status, "user request" in kept().error) == ("error", True)


def test_a_run_that_loses_the_session_of_its_lock_ends_as_an_error(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    sleeper = Sleeper()
    with at_work(lambda: conducted(memberships, sleeper)) as work:
        until_it_sleeps(screener, sleeper)
        assert one(registry, "SELECT pg_terminate_backend(%s)", kept().backend)
        with pytest.raises(RunLost, match="The run lost the connection that made it the only one"):
            work.result(timeout=20)
    assert kept().status == "error"
    assert conducted(memberships, lambda watch: None).status == "passed"


def test_a_run_that_was_taken_for_dead_cannot_pass_any_more(stores: None, memberships: Stream) -> None:
    def closed_by_another(watch: Watch) -> None:
        ValidationRun.objects.update(status="error", error="its process died")

    with pytest.raises(RunLost, match="was closed by somebody else"):
        conducted(memberships, closed_by_another)
    assert (kept().status, kept().error) == ("error", "its process died")


def test_a_run_that_was_taken_for_dead_ends_its_statement(screener: Session, memberships: Stream) -> None:
    sleeper = Sleeper()
    with at_work(lambda: conducted(memberships, sleeper)) as work:
        until_it_sleeps(screener, sleeper)
        ValidationRun.objects.update(status="error", error="its process died")
        with pytest.raises(RunLost, match="was closed by somebody else"):
            work.result(timeout=10)
    assert kept().error == "its process died"


def test_how_far_a_run_is_stands_in_its_row_while_it_works(stores: None, memberships: Stream) -> None:
    told: list[Progress] = []
    seen = threading.Event()

    def counts(watch: Watch) -> None:
        watch.phase("counting", 4_000)
        watch.advance(1_000)
        pace = threading.Event()
        for _ in range(400):
            if kept().progress:
                seen.set()
                return
            pace.wait(0.05)

    conducted(memberships, counts, Watch(told.append))
    progress = kept().progress
    assert seen.is_set(), "nothing was told within 20 s"
    assert (progress["phase"], progress["rows"], progress["total"]) == ("counting", 1_000, 4_000)
    assert progress["rows_per_second"] > 0
    assert progress["eta_seconds"] == pytest.approx(3 * progress["seconds"], rel=0.5)
    assert told[0].phase == "counting"


def test_a_dead_run_is_recognised_by_its_lock_and_closed_when_somebody_cancels_it(
    stores: None, memberships: Stream
) -> None:
    left = ValidationRun.objects.create(stream=memberships.name, level="strict", owner="far:1", backend=1)
    assert runs.is_dead(left)
    closed = runs.cancel(ValidationRun, left.pk, "anna")
    assert (closed.status, closed.error) == ("error", "its process (far:1) died or lost its connection; run it again")


def test_a_dead_run_is_recognised_though_the_number_of_its_session_was_given_to_another_one(
    stores: None, memberships: Stream
) -> None:
    with runs.only(ValidationRun, memberships) as owner:
        here = owner.as_fields()
        began = here.pop("backend_start")
        assert isinstance(began, datetime)
        before = {**here, "backend_start": began - timedelta(microseconds=1)}
        left = ValidationRun.objects.create(stream=memberships.name, level="strict", **before)
        own = ValidationRun.objects.create(stream=memberships.name, level="strict", backend_start=began, **here)
        unknown = ValidationRun.objects.create(stream=memberships.name, level="strict", **here)
        assert [runs.is_dead(run) for run in (left, own, unknown)] == [True, False, False]
        assert runs.reap(ValidationRun, memberships.name) == 1
    left.refresh_from_db()
    assert left.status == "error"


def test_a_session_whose_beginning_is_not_told_is_known_by_its_number() -> None:
    now = datetime.now(tz=UTC)
    assert runs.Holder(7, None).may_be(7, now)
    assert not runs.Holder(7, None).may_be(8, now)


def test_a_living_run_is_not_taken_for_dead(stores: None, memberships: Stream) -> None:
    def look(watch: Watch) -> None:
        assert not runs.is_dead(kept())
        assert runs.reap(ValidationRun, memberships.name) == 0

    assert conducted(memberships, look).status == "passed"


def test_a_run_that_is_not_there_or_has_ended_is_answered_with_a_sentence(stores: None, memberships: Stream) -> None:
    ended = conducted(memberships, lambda watch: None)
    for number in (ended.pk + 1, -1, 10**30):
        with pytest.raises(UsageError, match=f"there is no validation run {number}"):
            runs.cancel(ValidationRun, number, "anna")
        with pytest.raises(UsageError, match=f"there is no validation run {number}"):
            runs.to_resume(ValidationRun, number)
    with pytest.raises(Refused, match=f"validation run {ended.pk} has ended already, as passed"):
        runs.cancel(ValidationRun, ended.pk, "anna")
    with pytest.raises(Refused, match=f"validation run {ended.pk} came to its end, as passed"):
        runs.to_resume(ValidationRun, ended.pk)


def test_a_run_under_way_is_not_resumed(stores: None, memberships: Stream) -> None:
    def again(watch: Watch) -> None:
        with pytest.raises(AlreadyRunning, match=f"run {kept().pk}, "):
            runs.to_resume(ValidationRun, kept().pk)

    assert conducted(memberships, again).status == "passed"


def test_breaths_wait_while_the_servers_sessions_are_many_and_go_on_when_they_are_few(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_THROTTLE_SESSIONS", "1")
    waits = threading.Event()

    def breathes(watch: Watch) -> None:
        pace = threading.Event()
        for _ in range(400):
            if not watch.is_clear:
                waits.set()
                break
            pace.wait(0.05)
        monkeypatch.setenv("INSTRUMENT_REGISTRY_THROTTLE_SESSIONS", "100000")
        watch.breathe()
        assert watch.is_clear

    with psycopg.connect(screener.info.dsn, password=screener.info.password, application_name="somebody") as other:
        other.execute("SELECT 1")  # a transaction of somebody else, who is not the engine
        assert conducted(memberships, breathes).status == "passed"
    assert waits.is_set()
