"""What writing must stand: others in between, roles that changed while a store was away, records that are one."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from dualwrite import failpoints, writing
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import InvalidParameter, RecordInvalid, RecordRefused
from dualwrite.models import ParkedKey
from dualwrite.relay import parking, worker
from dualwrite.relay.inline import open_inline
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from dualwrite.writing import Outcome, lane
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.test_writing import put, record, weights
from tests.support import add, at_work, column, database_setting, enabled, mirrored, noted, one

DONE = (Outcome.WRITTEN, Outcome.MIRRORED)

FENCES = "SELECT epoch FROM dualwrite.relay_fence WHERE stream = 'index_memberships' ORDER BY partition"


@pytest.fixture(autouse=True)
def written_once(stores: None, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Enabled, and each lane and cache at work."""
    # What is tested is not how fast a busy machine is.
    monkeypatch.setenv("INSTRUMENT_REGISTRY_INLINE_RELAY_SECONDS", "10")
    enabled(memberships)
    assert put(memberships, "OTHER") == DONE
    yield
    writing.close()


def before_the_writer_settles(
    monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], *, when: Callable[[Mapping[str, object]], bool]
) -> None:
    """Have something happen once, between the mirror's commit and what the writer's thread notes of it."""
    settle, done = parking.settle, threading.Event()

    def late(*args: Any) -> int:
        if not done.is_set() and threading.current_thread().name.startswith("mirror") and when(args[3]):
            done.set()
            action()
        return settle(*args)

    monkeypatch.setattr(parking, "settle", late)


@pytest.mark.parametrize("before", [0, 1], ids=["not parked before", "parked before"])
def test_a_writer_does_not_unpark_what_a_relay_parked_for_a_newer_record(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    if before:
        add(screener, "A", weight=102)
        assert worker.drain(memberships).parked == 1

    def refused_meanwhile() -> None:
        screener.execute("UPDATE index_memberships SET weight = 101 WHERE symbol = 'A'")
        assert worker.drain(memberships).parked == 1

    before_the_writer_settles(monkeypatch, refused_meanwhile, when=lambda failed: not failed)
    put(memberships, "A", 1)
    assert mirrored(registry)["NSE:A"] == 1
    parked = ParkedKey.objects.get()
    assert (parked.key, parked.attempts) == ('["NSE:A","NIFTY 50"]', before + 1)


def test_a_writer_does_not_leave_parked_what_a_relay_has_applied_since(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mended_meanwhile() -> None:
        screener.execute("UPDATE index_memberships SET weight = 2 WHERE symbol = 'A'")
        worker.drain(memberships)

    before_the_writer_settles(monkeypatch, mended_meanwhile, when=bool)
    put(memberships, "A", 101)
    worker.drain(memberships)
    assert mirrored(registry)["NSE:A"] == 2
    assert not ParkedKey.objects.exists()
    assert noted(screener) == []


def test_a_store_that_is_only_the_mirror_now_fails_no_write_when_it_is_away(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(memberships, Store.REGISTRY, TESTER)
    with monkeypatch.context() as patched:
        move(Store.SCREENER, CLOSED_PORT, patched)
        assert put(memberships, "B", 2) == (Outcome.WRITTEN, Outcome.PENDING)
    connections[Store.SCREENER.alias].close()
    worker.drain(memberships)
    assert validate(memberships).status == "passed"


def test_one_key_is_written_once_where_a_database_has_snapshots_for_whole_transactions(
    screener: Session, memberships: Stream
) -> None:
    """Four writers at once, and a table whose index allows a key twice."""
    with database_setting(screener, "default_transaction_isolation", "repeatable read"):
        barrier = threading.Barrier(4)
        connections[Store.SCREENER.alias].close()

        def write() -> None:
            try:
                barrier.wait()
                memberships.write([record(f"K{number}") for number in range(10)])
            finally:
                connections.close_all()

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert one(screener, "SELECT count(*) FROM index_memberships WHERE symbol ~ '^K'") == 10


def test_records_that_are_one_in_the_table_are_refused_together(screener: Session, memberships: Stream) -> None:
    """The old table has no way to keep apart what is before the colon when there is none."""
    same = [{**record("A"), "instrument_key": "AAPL"}, {**record("A"), "instrument_key": "AAPL:AAPL"}]
    with pytest.raises(RecordRefused, match='records 1 and 2 have the same key \\["AAPL:AAPL","NIFTY 50"\\]'):
        memberships.write(same)
    assert set(weights(screener)) == {"NSE:OTHER"}


def test_two_transactions_that_wait_for_each_other_are_told_in_one_line(memberships: Stream) -> None:
    both_have_one = threading.Barrier(2)

    def write(first: str, second: str) -> str:
        try:
            with transaction.atomic(using=Store.SCREENER.alias):
                memberships.write([record(first)])
                both_have_one.wait(20)
                memberships.write([record(second)])
        except RecordRefused as exc:
            return str(exc)
        return ""

    with at_work(lambda: write("A", "B")) as one_way, at_work(lambda: write("B", "A")) as the_other:
        told = "".join([one_way.result(20), the_other.result(20)])
    assert "deadlock detected" in told
    assert "\n" not in told


@pytest.mark.parametrize("wrong", ["abc", "nan", "-1", "61"])
def test_a_parameter_that_is_wrong_is_told_before_anything_is_written(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_INLINE_RELAY_SECONDS", wrong)
    with pytest.raises(InvalidParameter):
        put(memberships, "B")
    assert set(weights(screener)) == {"NSE:OTHER"}


def test_a_write_is_answered_where_no_thread_can_be_started(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.close()

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        assert put(memberships, "B") == (Outcome.WRITTEN, Outcome.PENDING)
    assert put(memberships, "B") == DONE


def test_a_lane_outlives_what_nobody_has_foreseen(memberships: Stream) -> None:
    def no_file() -> None:
        failpoints.clear()
        raise OSError("no file descriptor is left")

    failpoints.at("inline taken", no_file)
    assert put(memberships, "B") == (Outcome.WRITTEN, Outcome.PENDING)
    assert put(memberships, "B") == DONE


def test_a_write_goes_on_when_its_session_was_ended_in_between(screener: Session, memberships: Stream) -> None:
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s"
    with connections[Store.SCREENER.alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    assert column(screener, ended, pid) == [True]
    assert put(memberships, "B") == DONE


@pytest.mark.parametrize(
    "given",
    [
        pytest.param((record(symbol) for symbol in "AB"), id="a generator"),
        pytest.param(None, id="nothing"),
        pytest.param([{**record("A"), "weight": 10**5000}], id="a number too long to be written out"),
        pytest.param([{**record("A"), "sector": ["a", "b"]}], id="a list"),
        pytest.param([{**record("A"), "sector": {"a": 1}}], id="a mapping"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(screener: Session, memberships: Stream, given: Any) -> None:
    with pytest.raises(RecordInvalid):
        memberships.write(given)
    assert set(weights(screener)) == {"NSE:OTHER"}


def test_the_server_sees_that_a_writer_with_the_fences_does_nothing(registry: Session, memberships: Stream) -> None:
    """Only then its limit ends the session of a process that stands still there."""
    seen: list[Any] = []

    def look() -> None:
        failpoints.clear()
        query = "SELECT state FROM pg_stat_activity WHERE application_name = 'dualwrite relay index_memberships'"
        seen.extend(column(registry, f"{query} AND xact_start IS NOT NULL AND datname = current_database()"))

    failpoints.at("relay may apply anew", look)
    assert put(memberships, "B") == DONE
    assert seen == ["idle in transaction"]


def test_notes_and_records_are_looked_at_one_after_the_other_whatever_the_database_is_set_to(
    screener: Session, memberships: Stream
) -> None:
    with database_setting(screener, "default_transaction_isolation", "repeatable read"):
        pipe = open_inline(memberships, seconds=5)
        assert pipe is not None
        with pipe:
            assert one(pipe._source, "SHOW transaction_isolation") == "read committed"


@pytest.mark.parametrize("kind", ["varchar(3)", "character(3)", "numeric(5,2)", "bit(3)"])
def test_what_does_not_fit_the_type_it_travels_in_is_refused_not_cut(registry: Session, kind: str) -> None:
    """As COPY refuses it, which a cast would not."""
    given = "1234567" if kind.startswith("numeric") else "1010"
    records = statement("relay", "records").format(key_definitions="k text", definitions=f"f {kind}")
    text = json.dumps([{"key": "a", "k": "a", "present": "t", "f": given}])
    with pytest.raises(psycopg.DataError):
        psycopg.RawCursor(registry).execute(records, [text])


def test_the_fence_taken_is_that_of_the_keys_partition_whatever_the_writer_was_told(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A", weight=3)
    [key] = noted(screener)
    (partition,) = column(screener, "SELECT partition FROM dualwrite.waiting")
    before = column(registry, FENCES)
    pipe = open_inline(memberships, seconds=5)
    assert pipe is not None
    with pipe:
        assert pipe.mirror([key], {key: partition ^ 1}) == {}
    raised = [now - then for now, then in zip(column(registry, FENCES), before, strict=True)]
    assert raised == [int(number == partition) for number in range(len(raised))]
    assert mirrored(registry)["NSE:A"] == 3
