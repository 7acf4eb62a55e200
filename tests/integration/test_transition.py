"""What dies in the middle of a transition is shown, then ended by whoever comes next; the stores decide."""

from collections.abc import Callable, Iterator

import pytest
from psycopg import errors

from dualwrite import failpoints, switch
from dualwrite.control import transition
from dualwrite.control.advance import advance, rollback
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.control.status import stream_status
from dualwrite.exceptions import StoreUnreachable
from dualwrite.models import StageTransition, StreamControl
from dualwrite.monitoring.checks.dual_write import DualWriteCheck
from dualwrite.monitoring.exceptions import Unhealthy
from dualwrite.relay import worker
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration import away
from tests.integration.moving import Killed, bring, held, kill, proven, quick, relay_at_work, roles, write
from tests.support import add, enabled, one


@pytest.fixture(autouse=True)
def _ready(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick(monkeypatch)
    add(screener, "FIRST")
    yield
    failpoints.clear()


def killed_at(place: str, work: Callable[[], object]) -> None:
    """The work dies there."""
    failpoints.at(place, kill)
    with pytest.raises(Killed):
        work()
    failpoints.clear()


def brought(stream: Stream, to: Stage) -> None:
    """Brought there and proven, no relay any more: it might settle what a test leaves half-done."""
    with relay_at_work(stream):
        bring(stream, to)
        proven(stream)


def last(stream: Stream) -> StageTransition:
    """The transition begun last."""
    found = transition.latest(stream)
    assert found is not None
    return found


def advanced_until(place: str, stream: Stream) -> None:
    """An `advance` that dies at that place."""
    with relay_at_work(stream):
        killed_at(place, lambda: advance(stream, TESTER))


@pytest.mark.parametrize(
    ("place", "ended", "stage"),
    [
        ("transition recorded", "taken_back", Stage.SHADOW),
        ("switch locked", "taken_back", Stage.SHADOW),
        ("switch promoted", "done", Stage.LIVE),
        ("switch demoted", "done", Stage.LIVE),
        ("transition done", "done", Stage.LIVE),
    ],
)
def test_a_switch_that_dies_is_ended_by_the_next_look_and_stage_and_row_agree(
    screener: Session, registry: Session, memberships: Stream, place: str, ended: str, stage: Stage
) -> None:
    brought(memberships, Stage.SHADOW)
    advanced_until(place, memberships)
    if place != "transition done":
        shown = stream_status(memberships)["transition"]
        assert shown is not None
        assert "advance shadow → live" in shown
        assert "was left half-done" in shown
        assert transition.settle_and_repair(memberships, TESTER)
    assert stream_status(memberships)["transition"] is None
    assert not transition.settle_and_repair(memberships, TESTER), "nothing is left"
    assert (last(memberships).status, transition.stage_of(memberships)) == (ended, stage)
    sessions = {Store.SCREENER: screener, Store.REGISTRY: registry}
    write(sessions[stage.authority], stage.authority, "GOES ON")
    worker.drain(memberships)
    assert held(screener, registry) == ({"FIRST", "GOES ON"},) * 2


@pytest.mark.parametrize("place", ["switch fenced", "switch drained"])
def test_a_switch_that_dies_before_the_promotion_comes_to_one_end_or_the_other(
    screener: Session, memberships: Stream, place: str
) -> None:
    """The switch itself has been undone by then, as far as it can be; what is left is the row."""
    brought(memberships, Stage.SHADOW)
    with relay_at_work(memberships):
        failpoints.at(place, kill)
        with pytest.raises(Killed):
            advance(memberships, TESTER)
        failpoints.clear()
        transition.settle_and_repair(memberships, TESTER)
    stage = transition.stage_of(memberships)
    assert stage.authority is switch.authority(memberships).store
    assert Role.FENCED not in roles(memberships)
    assert last(memberships).status == ("done" if stage is Stage.LIVE else "taken_back")


@pytest.mark.parametrize(
    ("place", "stage"),
    [
        ("complete drained", Stage.RAMPDOWN),
        ("complete detached", Stage.COMPLETE),
        ("complete capture ended", Stage.COMPLETE),
        ("complete notes forgotten", Stage.COMPLETE),
    ],
)
def test_going_to_complete_dies_at_each_step_and_is_either_not_begun_or_finished(
    screener: Session, registry: Session, memberships: Stream, place: str, stage: Stage
) -> None:
    brought(memberships, Stage.RAMPDOWN)
    advanced_until(place, memberships)
    assert "advance rampdown → complete" in (stream_status(memberships)["transition"] or "")
    write(registry, Store.REGISTRY, "MEANWHILE")
    with pytest.raises(errors.DatabaseError, match="the registry store takes its writes"):
        write(screener, Store.SCREENER, "LOST")
    assert transition.settle_and_repair(memberships, TESTER)
    assert transition.stage_of(memberships) is stage
    assert last(memberships).status == ("done" if stage is Stage.COMPLETE else "crashed")
    row = stream_status(memberships)
    assert row["transition"] is None
    if stage is Stage.COMPLETE:
        assert roles(memberships) == (Role.DETACHED, Role.AUTHORITY)
        assert (row["mirroring"], row["outbox"]["pending"], row["blocked_by"]) == ("off", 0, [])
    else:
        with relay_at_work(memberships):
            bring(memberships, Stage.COMPLETE)
        assert held(screener, registry) == ({"FIRST", "MEANWHILE"},) * 2


def test_repairing_complete_can_itself_die_and_is_done_again(registry: Session, memberships: Stream) -> None:
    brought(memberships, Stage.RAMPDOWN)
    advanced_until("complete detached", memberships)
    write(registry, Store.REGISTRY, "NOTED FOR NOBODY")
    assert one(registry, "SELECT count(*) FROM dualwrite.outbox") == 1
    for place in ("complete capture ended", "complete notes forgotten"):
        killed_at(place, lambda: transition.settle_and_repair(memberships, TESTER))
    assert transition.settle_and_repair(memberships, TESTER)
    assert transition.stage_of(memberships) is Stage.COMPLETE
    assert one(registry, "SELECT count(*) FROM dualwrite.outbox") == 0
    assert not switch.state(memberships, Store.REGISTRY).capture


@pytest.mark.parametrize("place", ["transition recorded", "enable begun", "enable followed", "enable noted"])
def test_an_enable_that_dies_leaves_the_stage_off_and_is_finished_by_enabling_again(
    screener: Session, registry: Session, memberships: Stream, place: str
) -> None:
    killed_at(place, lambda: enable(memberships, TESTER))
    assert "enable off → dualwrite" in (stream_status(memberships)["transition"] or "")
    assert transition.settle_and_repair(memberships, TESTER)
    assert (last(memberships).status, transition.stage_of(memberships)) == ("crashed", Stage.OFF)
    enable(memberships, TESTER)
    worker.drain(memberships)
    assert held(screener, registry) == ({"FIRST"},) * 2
    assert (last(memberships).status, transition.stage_of(memberships)) == ("done", Stage.DUALWRITE)


def test_an_enable_that_dies_at_its_last_step_has_been_done(memberships: Stream) -> None:
    killed_at("enable backfilled", lambda: enable(memberships, TESTER))
    assert transition.settle_and_repair(memberships, TESTER)
    assert (last(memberships).status, transition.stage_of(memberships)) == ("done", Stage.DUALWRITE)


def test_a_stage_that_moves_nothing_dies_before_its_end_and_has_not_been_reached(memberships: Stream) -> None:
    brought(memberships, Stage.DUALWRITE)
    advanced_until("transition recorded", memberships)
    assert transition.settle_and_repair(memberships, TESTER)
    assert (last(memberships).status, transition.stage_of(memberships)) == ("crashed", Stage.DUALWRITE)


def test_the_next_advance_ends_what_was_left_and_goes_no_further_than_was_asked(memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    advanced_until("switch demoted", memberships)
    with relay_at_work(memberships):
        moved = advance(memberships, TESTER)
    assert (moved.before, moved.after, moved.transition) == ("shadow", "live", last(memberships).pk)
    assert transition.stage_of(memberships) is Stage.LIVE


def test_the_next_rollback_ends_what_was_left_and_goes_no_further_than_was_asked(memberships: Stream) -> None:
    brought(memberships, Stage.LIVE)
    with relay_at_work(memberships):
        killed_at("switch demoted", lambda: rollback(memberships, TESTER))
        moved = rollback(memberships, TESTER)
    assert (moved.before, moved.after) == ("live", "shadow")
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_the_health_check_mends_and_then_finds_nothing(stores: None, memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    advanced_until("switch promoted", memberships)
    details = DualWriteCheck().run()
    assert details[memberships.name]["stage"] == "live"
    assert details[memberships.name]["unfinished"] == ()


def test_the_health_check_leaves_a_switch_under_way_alone(memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    seen: list[object] = []

    def look() -> None:
        try:
            seen.append(DualWriteCheck().run()[memberships.name])
        except Unhealthy as exc:
            seen.append(exc)

    failpoints.at("switch fenced", look)
    with relay_at_work(memberships):
        moved = advance(memberships, TESTER)
    assert moved.after == "live"
    assert isinstance(seen[0], dict), seen
    assert seen[0]["unfinished"] == ()


def test_the_health_check_leaves_a_switch_alone_that_nobody_recorded(memberships: Stream) -> None:
    """It is seen by its lock alone, and ends as it would have without having been looked at."""
    enabled(memberships)
    seen: list[object] = []
    failpoints.at("switch fenced", lambda: seen.append(DualWriteCheck().run()[memberships.name]))
    hand_over(memberships, Store.REGISTRY, TESTER)
    assert isinstance(seen[0], dict)
    assert seen[0]["unfinished"] == ()
    assert roles(memberships) == (Role.MIRROR, Role.AUTHORITY)


def test_when_a_store_goes_away_in_the_middle_the_row_waits_for_its_return(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(memberships, Stage.SHADOW)
    with relay_at_work(memberships), monkeypatch.context() as patch:
        failpoints.at("switch promoted", lambda: away.move(Store.REGISTRY, away.CLOSED_PORT, patch))
        with pytest.raises(StoreUnreachable):
            advance(memberships, TESTER)
        failpoints.clear()
    assert last(memberships).status == "running"
    assert "was left half-done" in (stream_status(memberships)["transition"] or "")
    transition.settle_and_repair(memberships, TESTER)
    assert (last(memberships).status, transition.stage_of(memberships)) == ("done", Stage.LIVE)


def test_an_error_after_the_last_step_is_kept_in_the_row_of_a_transition_that_is_done(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the demotion is lost: the operator hears that it is done, not that it might be."""
    brought(memberships, Stage.SHADOW)

    def lose() -> None:
        raise StoreUnreachable("the connection was lost")

    failpoints.at("switch demoted", lose)
    with relay_at_work(memberships):
        moved = advance(memberships, TESTER)
    assert moved.after == "live"
    row = last(memberships)
    assert (row.status, transition.stage_of(memberships)) == ("done", Stage.LIVE)
    assert "the connection was lost" in row.error


def test_the_stores_decide_and_the_stage_follows(registry: Session, memberships: Stream) -> None:
    brought(memberships, Stage.LIVE)
    for wrong in ("off", "dualwrite", "shadow"):
        StreamControl.objects.update(stage=wrong)
        assert "the registry store takes the writes" in (stream_status(memberships)["transition"] or "")
        assert transition.settle_and_repair(memberships, TESTER)
        assert transition.stage_of(memberships) is Stage.LIVE
    query = "SELECT before ->> 'stage', after ->> 'stage' FROM dualwrite.audit WHERE verb = 'repair' ORDER BY id"
    assert registry.execute(query).fetchall() == [("off", "live"), ("dualwrite", "live"), ("shadow", "live")]
