"""The outbox has ceilings: they are told first, and at the ceiling the stream is disabled, with a record."""

import logging
import threading
from typing import ClassVar

import pytest

from dualwrite import outbox, switch
from dualwrite.control import ceiling
from dualwrite.control.ceiling import keep_below, near
from dualwrite.control.status import stream_status
from dualwrite.monitoring.checks import check_named
from dualwrite.monitoring.exceptions import Down
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.support import add, column, enabled, one


@pytest.fixture(autouse=True)
def enabled_streams(stores: None, memberships: Stream, instruments: Stream) -> None:
    enabled(memberships)
    enabled(instruments)


def waiting(screener: Session, keys: int) -> None:
    for number in range(keys):
        add(screener, f"S{number}")


def limited(monkeypatch: pytest.MonkeyPatch, **limits: object) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(f"INSTRUMENT_REGISTRY_{name}", str(value))


def test_below_half_of_a_ceiling_nothing_is_said(
    screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10)
    waiting(screener, 4)
    assert near() == []


def test_near_a_ceiling_status_and_health_say_so_and_nothing_is_stopped(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10)
    waiting(screener, 6)
    sentence = "6 keys wait in the screener store; the ceiling is 10"
    assert [one.sentence for one in keep_below()] == [sentence]
    assert switch.authority(memberships).capture
    assert sentence in [gate["why"] for gate in stream_status(memberships)["blocked_by"]]
    with pytest.raises(Down, match=f"index_memberships: {sentence}"):
        check_named("relay").run()


def test_at_a_ceiling_that_stream_alone_is_disabled_and_the_audit_says_why(
    screener: Session, registry: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10)
    waiting(screener, 10)
    keep_below()
    assert not switch.authority(memberships).capture
    assert switch.authority(instruments).capture
    reasons = column(registry, "SELECT reason FROM dualwrite.audit WHERE verb = 'disable' AND actor = 'outbox ceiling'")
    assert reasons == ["10 keys wait in the screener store; the ceiling is 10"]
    waiting(screener, 0)
    add(screener, "LATER")
    assert outbox.pending(memberships, Store.SCREENER).count == 10
    keep_below()
    assert one(registry, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'disable'") == 1


def test_an_operator_may_choose_to_be_told_only(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10, OUTBOX_AT_LIMIT="alarm")
    waiting(screener, 12)
    assert [found.stops for found in keep_below()] == [True]
    assert switch.authority(memberships).capture


def test_another_streams_backlog_is_not_counted_for_a_stream(
    screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=1_000)
    monkeypatch.setattr(outbox, "EXACT_UP_TO", 5)
    waiting(screener, 2_000)
    for number in range(8):
        screener.execute("INSERT INTO instruments (symbol, exchange, name) VALUES (%s, 'NSE', 'x')", (f"I{number}",))
    screener.execute("ANALYZE dualwrite.outbox")
    found = near()
    assert [(one.stream, one.stops) for one in found] == [("index_memberships", True)]


def test_the_size_of_the_database_stops_the_stream_that_fills_it(
    screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=0, OUTBOX_MAX_DATABASE_BYTES=1_000)
    waiting(screener, 5)
    found = near()
    assert [(one.stream, "the database of the screener store has" in one.sentence) for one in found] == [
        ("index_memberships", True)
    ]


def test_the_relays_process_looks_again_and_again_and_says_it_once(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10, OUTBOX_AT_LIMIT="alarm")
    monkeypatch.setattr(ceiling, "CHECK_SECONDS", 0.01)
    waiting(screener, 6)
    enough, stop = threading.Event(), threading.Event()
    looks: list[int] = []

    def counted() -> list[ceiling.Near]:
        looks.append(len(looks))
        if len(looks) == 3:
            enough.set()
        return keep_below()

    monkeypatch.setattr(ceiling, "keep_below", counted)
    watcher = threading.Thread(target=ceiling.watch, args=(stop,))
    with caplog.at_level(logging.WARNING):
        watcher.start()
        assert enough.wait(10)
        stop.set()
        watcher.join()
    said = [record.message for record in caplog.records if record.name == ceiling.__name__]
    assert said == ["stream index_memberships: 6 keys wait in the screener store; the ceiling is 10"]


def test_a_stream_is_not_blamed_for_what_another_one_fills(
    screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=0, OUTBOX_MAX_DATABASE_BYTES=1_000)
    waiting(screener, 5)
    screener.execute("INSERT INTO instruments (symbol, exchange, name) VALUES ('I', 'NSE', 'x')")
    blamed = [
        stream.name
        for stream in (memberships, instruments)
        if any(gate["gate"] == "outbox" for gate in stream_status(stream)["blocked_by"])
    ]
    assert blamed == ["index_memberships"]


def test_what_gets_worse_is_said_anew(screener: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10, OUTBOX_AT_LIMIT="alarm")
    monkeypatch.setattr(ceiling, "CHECK_SECONDS", 0.01)
    stop, said = threading.Event(), threading.Condition()

    class Heard(logging.Handler):
        """Wakes who waits for a sentence."""

        sentences: ClassVar[list[str]] = []

        def emit(self, record: logging.LogRecord) -> None:
            with said:
                self.sentences.append(record.getMessage())
                said.notify_all()

    heard = Heard()
    ceiling.log.addHandler(heard)
    watcher = threading.Thread(target=ceiling.watch, args=(stop,))
    try:
        waiting(screener, 6)
        watcher.start()
        with said:
            assert said.wait_for(lambda: len(heard.sentences) == 1, 10)
        for number in range(6, 10):
            add(screener, f"S{number}")
        with said:
            assert said.wait_for(lambda: len(heard.sentences) == 2, 10)
    finally:
        stop.set()
        watcher.join()
        ceiling.log.removeHandler(heard)
    assert heard.sentences[0] == "stream index_memberships: 6 keys wait in the screener store; the ceiling is 10"
    assert heard.sentences[1] == "stream index_memberships: 10 keys wait in the screener store; the ceiling is 10"
