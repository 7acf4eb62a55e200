"""A mirror that makes something else of a record is found out in the transaction that wrote it."""

import logging
from collections.abc import Iterator

import pytest

from dualwrite.models import ParkedKey
from dualwrite.relay import worker
from dualwrite.relay.pipe import Moved
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.support import add, enabled, mirrored


@pytest.fixture
def rounding(registry: Session) -> Iterator[None]:
    """A mirror whose own trigger rounds weights, and drops records of the sector `gone`."""
    registry.execute(
        "CREATE FUNCTION rounded() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF new.sector = 'gone' THEN RETURN NULL; END IF; new.weight := round(new.weight); RETURN new; END $$"
    )
    registry.execute(
        "CREATE TRIGGER rounded BEFORE INSERT OR UPDATE ON index_memberships FOR EACH ROW EXECUTE FUNCTION rounded()"
    )
    yield
    registry.execute("DROP FUNCTION rounded CASCADE")


@pytest.fixture
def written(rounding: None, screener: Session, memberships: Stream) -> None:
    """One record that the mirror keeps, one that it rounds, one that it drops; all noted."""
    enabled(memberships)
    add(screener, "KEPT", weight=1)
    add(screener, "ROUNDED", weight="1.6")
    add(screener, "GONE", sector="gone")


def test_in_strict_mode_a_record_that_came_back_different_is_parked_and_the_rest_flows(
    registry: Session, memberships: Stream, written: None
) -> None:
    assert worker.drain(memberships) == Moved(keys=3, parked=2)
    errors = {row.key: row.error for row in ParkedKey.objects.all()}
    assert errors == {
        '["NSE:ROUNDED","NIFTY 50"]': "the mirror keeps it otherwise than it was sent:"
        " weight was 1.600000, is 2.000000",
        '["NSE:GONE","NIFTY 50"]': "the mirror keeps it otherwise than it was sent: it is not there",
    }
    assert mirrored(registry) == {"NSE:KEPT": 1, "NSE:ROUNDED": 2}


def test_a_record_that_came_back_different_is_unparked_once_the_mirror_keeps_it(
    screener: Session, registry: Session, memberships: Stream, written: None
) -> None:
    worker.drain(memberships)
    registry.execute("DROP TRIGGER rounded ON index_memberships")
    screener.execute("UPDATE index_memberships SET weight = weight")
    assert worker.drain(memberships) == Moved(keys=3, parked=0)
    assert not ParkedKey.objects.exists()


def test_in_lenient_mode_it_is_only_told(
    memberships: Stream, written: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_MODE", "lenient")
    with caplog.at_level(logging.WARNING):
        assert worker.drain(memberships) == Moved(keys=3, parked=0)
    assert "2 records came back different" in caplog.text


def test_in_disabled_mode_nobody_looks(
    memberships: Stream, written: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_VALIDATION_MODE", "disabled")
    with caplog.at_level(logging.WARNING):
        assert worker.drain(memberships) == Moved(keys=3, parked=0)
    assert "came back different" not in caplog.text
