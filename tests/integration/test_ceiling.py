"""The outbox has ceilings: they are told first, and at the ceiling the stream is disabled, with a record."""

import logging
import threading

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
    assert near([memberships, instruments]) == []


def test_near_a_ceiling_status_and_health_say_so_and_nothing_is_stopped(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10)
    waiting(screener, 6)
    sentence = "6 keys wait in the screener store; the ceiling is 10"
    assert [one.sentence for one in keep_below([memberships])] == [sentence]
    assert switch.authority(memberships).capture
    assert sentence in [gate["why"] for gate in stream_status(memberships)["blocked_by"]]
    with pytest.raises(Down, match=f"index_memberships: {sentence}"):
        check_named("relay").run()


def test_at_a_ceiling_that_stream_alone_is_disabled_and_the_audit_says_why(
    screener: Session, registry: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10)
    waiting(screener, 10)
    keep_below([memberships, instruments])
    assert not switch.authority(memberships).capture
    assert switch.authority(instruments).capture
    reasons = column(registry, "SELECT reason FROM dualwrite.audit WHERE verb = 'disable' AND actor = 'outbox ceiling'")
    assert reasons == ["10 keys wait in the screener store; the ceiling is 10"]
    waiting(screener, 0)
    add(screener, "LATER")
    assert outbox.pending(memberships, Store.SCREENER).count == 10
    keep_below([memberships, instruments])
    assert one(registry, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'disable'") == 1


def test_an_operator_may_choose_to_be_told_only(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10, OUTBOX_AT_LIMIT="alarm")
    waiting(screener, 12)
    assert [found.stops for found in keep_below([memberships])] == [True]
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
    found = near([memberships, instruments])
    assert [(one.stream, one.stops) for one in found] == [("index_memberships", True)]


def test_the_size_of_the_database_stops_the_stream_that_fills_it(
    screener: Session, memberships: Stream, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=0, OUTBOX_MAX_DATABASE_BYTES=1_000)
    waiting(screener, 5)
    found = near([memberships, instruments])
    assert [(one.stream, "the database of the screener store has" in one.sentence) for one in found] == [
        ("index_memberships", True)
    ]


def test_the_relays_process_looks_again_and_again_and_says_it_once(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limited(monkeypatch, OUTBOX_MAX_KEYS=10, OUTBOX_AT_LIMIT="alarm")
    monkeypatch.setattr(ceiling, "CHECK_SECONDS", 0.01)
    waiting(screener, 6)
    looks, enough, stop = [], threading.Event(), threading.Event()

    def counted(streams: list[Stream]) -> list[ceiling.Near]:
        looks.append(streams)
        if len(looks) == 3:
            enough.set()
        return keep_below(streams)

    monkeypatch.setattr(ceiling, "keep_below", counted)
    watcher = threading.Thread(target=ceiling.watch, args=([memberships], stop))
    with caplog.at_level(logging.WARNING):
        watcher.start()
        assert enough.wait(10)
        stop.set()
        watcher.join()
    said = [record.message for record in caplog.records if record.name == ceiling.__name__]
    assert said == ["stream index_memberships: 6 keys wait in the screener store; the ceiling is 10"]
