"""A new version is installed while a relay of the old one runs: it stops, nothing is lost, and the new one goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dualwrite import capture, switch
from dualwrite.capture import script
from dualwrite.control.enable import enable
from dualwrite.exceptions import CaptureBroken
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Stream
from tests.conftest import TESTER
from tests.process import start
from tests.support import add, column, enabled, mirrored, noted, one, opened

TRIGGERS = """
SELECT DISTINCT p.proname FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
 WHERE g.tgrelid = 'index_memberships'::regclass AND g.tgname LIKE 'dualwrite_b%'
"""
SAYS = "version 2 is installed, this program needs 1"


@contextmanager
def the_next_version() -> Iterator[None]:
    """This program as the next version of itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "VERSION", script.VERSION + 1)
        yield


def installed_in_both() -> None:
    for store in Store:
        assert set(capture.install(store).values()) == {"installed"}


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> Iterator[None]:
    enabled(memberships)
    yield
    for store in Store:
        capture.install(store)


def test_an_old_relay_stops_and_a_new_one_relays_what_was_noted_by_either_version(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with opened(memberships) as old:
        add(screener, "BEFORE")
        with the_next_version():
            installed_in_both()
            add(screener, "AFTER")
        with pytest.raises(CaptureBroken, match=SAYS):
            old.check()
    assert len(set(noted(screener))) == 2
    assert all("_v2" in name for name in column(screener, TRIGGERS))
    assert not switch.state(memberships, Store.SCREENER).distrusted, "nothing was missed"
    with the_next_version():
        worker.drain(memberships)
    assert sorted(mirrored(registry)) == ["NSE:AFTER", "NSE:BEFORE"]


def test_a_running_process_of_the_old_version_says_why_it_stopped(screener: Session, memberships: Stream) -> None:
    relay = start("relay", "--stream", "index_memberships")
    try:
        with the_next_version():
            installed_in_both()
            add(screener, "A")
            said = ""
            while SAYS not in said:
                line = relay.stderr.readline() if relay.stderr else ""
                assert line, f"the relay ended: {said}"
                said += line
            assert "trying again" in said, "it is there when the old version is installed again"
            worker.drain(memberships)
    finally:
        relay.kill()
        relay.communicate()
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox") == 0


def test_records_that_are_made_otherwise_are_all_relayed_again(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that knows nothing of a new field would leave it as it is in the mirror, and delete the note."""
    changed = replace(memberships, fields=(*memberships.fields[:-1], Field(memberships.fields[-1].name, "varchar")))
    assert script.made_of(changed) != script.made_of(memberships)
    of_this = script.made_of(memberships)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "made_of", lambda stream: f"{of_this}, and more")
        installed_in_both()
        state = switch.state(memberships, Store.SCREENER)
        assert (state.backfilled, state.distrusted) == (False, True)
        enable(memberships, TESTER)
    with pytest.raises(CaptureBroken, match="those installed are made otherwise than this program makes them"):
        worker.drain(memberships)
    assert not switch.state(memberships, Store.SCREENER).distrusted, "an old relay that looks on changes nothing"
