"""DUAL_WRITE_ENABLED at the start of the service: what is off is enabled, unless an operator wanted it off."""

import threading

import pytest

from dualwrite import capture, switch
from dualwrite.control import at_start
from dualwrite.control.at_start import enable_what_is_off, is_wanted
from dualwrite.control.disable import disable
from dualwrite.control.transition import only, stage_of
from dualwrite.models import Audit
from dualwrite.relay import worker
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import eventually
from tests.support import add, at_work, enabled, mirrored

ENABLED = "INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED"


@pytest.fixture(autouse=True)
def _stores(stores: None) -> None:
    """At stage off, and the parameter is true."""


def start() -> list[str]:
    return enable_what_is_off(threading.Event())


def test_every_stream_that_is_off_is_enabled_once_and_audited(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A")
    assert set(start()) == {"index_memberships", "instruments"}
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:A"}
    row = Audit.objects.filter(verb="enable", stream="index_memberships").latest("id")
    assert (row.actor, row.reason) == ("start", "DUAL_WRITE_ENABLED is true")
    assert start() == []


def test_one_that_an_operator_disabled_stays_off_although_there_was_nothing_to_stop(memberships: Stream) -> None:
    disable(memberships, Actor("jane", "not yet"))
    assert start() == ["instruments"]
    assert stage_of(memberships) is Stage.OFF


def test_what_the_config_service_stopped_no_operator_did(memberships: Stream) -> None:
    disable(memberships, Actor("config service", "DUAL_WRITE_ENABLED became false"))
    assert "index_memberships" in start()


def test_one_that_an_operator_began_to_enable_afterwards_is_wanted_again(memberships: Stream) -> None:
    disable(memberships, Actor("jane", "not yet"))
    assert not is_wanted(memberships)
    switch.audit(Store.REGISTRY, Actor("jane", "now"), "enable", memberships.name)
    assert is_wanted(memberships)


def test_one_that_is_disabled_at_a_later_stage_is_left_alone(memberships: Stream) -> None:
    enabled(memberships)
    disable(memberships, TESTER)
    assert "index_memberships" not in start()


def test_with_the_parameter_false_nothing_is_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENABLED, "false")
    assert start() == []


def test_one_that_must_not_be_enabled_is_told_and_the_others_are(
    screener: Session, memberships: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_insert")
    assert capture.problems(memberships, Store.SCREENER)
    assert start() == ["instruments"]
    assert "stream index_memberships stays off: Writes are not captured as installed" in caplog.text


def test_one_that_somebody_is_at_work_on_is_left_to_him(memberships: Stream) -> None:
    with only(memberships, TESTER):
        assert start() == ["instruments"]


def test_with_a_store_away_it_waits_until_that_is_back(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(at_start, "WAIT_SECONDS", 0.05)
    with monkeypatch.context() as patch:
        move(Store.SCREENER, CLOSED_PORT, patch)
        with at_work(start) as work:
            eventually(lambda: "once this is mended" in caplog.text, 20)
            patch.undo()
            assert "index_memberships" in work.result(timeout=30)
    assert caplog.text.count("once this is mended") == 1


def test_it_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    assert enable_what_is_off(stop) == []
