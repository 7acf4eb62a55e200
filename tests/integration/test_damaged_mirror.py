"""A mirror whose triggers were damaged may have been written unseen: it is not promoted until it was enabled again."""

import pytest

from dualwrite import capture, failpoints, switch
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.control.status import stream_status
from dualwrite.exceptions import TakenBack
from dualwrite.relay import worker
from dualwrite.relay.pipe import Pipe
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration.test_handover import Killed, kill
from tests.support import add, enabled, mirrored, opened


@pytest.fixture
def damaged(memberships: Stream, screener: Session, registry: Session) -> Stream:
    """Verified, then a row of the mirror was deleted while its guard was away; the triggers are installed again."""
    add(screener, "A")
    add(screener, "B")
    enabled(memberships)
    assert validate(memberships).status == "passed"
    assert stream_status(memberships)["verified"]
    registry.execute("DROP TRIGGER dualwrite_a_guard ON index_memberships")
    registry.execute("DELETE FROM index_memberships WHERE instrument_key = 'NSE:A'")
    capture.install(Store.REGISTRY)
    return memberships


def test_installing_over_the_damage_leaves_it_distrusted(damaged: Stream) -> None:
    row = stream_status(damaged)
    assert not row["verified"]
    assert [gate["gate"] for gate in row["blocked_by"]] == ["mirror"]
    assert "written unseen" in row["blocked_by"][0]["why"]


def test_it_cannot_be_promoted(damaged: Stream, screener: Session) -> None:
    with pytest.raises(TakenBack, match="registry cannot become the authority"):
        hand_over(damaged, Store.REGISTRY, TESTER)
    assert [state.role for state in switch.both(damaged)] == [Role.AUTHORITY, Role.MIRROR]
    add(screener, "C")


def test_a_switch_that_died_before_the_damage_is_taken_back_not_finished(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    failpoints.at("switch drained", kill)
    try:
        with pytest.raises(Killed):
            hand_over(memberships, Store.REGISTRY, TESTER)
    finally:
        failpoints.clear()
    registry.execute("DROP TRIGGER dualwrite_a_guard ON index_memberships")
    capture.install(Store.REGISTRY)
    switch.settle(memberships, TESTER)
    assert [state.role for state in switch.both(memberships)] == [Role.AUTHORITY, Role.MIRROR]


def test_enabling_again_mends_it(damaged: Stream, screener: Session, registry: Session) -> None:
    assert enable(damaged, TESTER).changed
    worker.drain(damaged)
    assert set(mirrored(registry)) == {"NSE:A", "NSE:B"}
    assert validate(damaged).status == "passed"
    assert stream_status(damaged)["verified"]
    assert stream_status(damaged)["stage"] == Stage.DUALWRITE


def test_the_relay_notices_damage_that_nobody_installed_over(memberships: Stream, registry: Session) -> None:
    enabled(memberships)
    pipe: Pipe = opened(memberships)
    try:
        registry.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_a_guard")
        assert pipe.check()
    finally:
        pipe.close()
    assert switch.state(memberships, Store.REGISTRY).distrusted
