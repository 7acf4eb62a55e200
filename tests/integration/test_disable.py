"""The emergency stop stops, whatever is away or under way; enabling afterwards proves everything anew."""

import threading
from collections.abc import Iterator

import pytest

from dualwrite import failpoints, switch
from dualwrite.control import disable as disabling
from dualwrite.control import transition
from dualwrite.control.advance import advance
from dualwrite.control.backfill import backfill
from dualwrite.control.disable import disable
from dualwrite.control.enable import enable
from dualwrite.control.status import stream_status
from dualwrite.exceptions import ConcurrentChange, Refused, StoreUnreachable
from dualwrite.relay import worker
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.integration import away
from tests.integration.moving import Killed, bring, held, kill, proven, quick, relay_at_work, write
from tests.integration.test_operator_input import TABLES, everything
from tests.support import add, at_work, enabled, noted, one, tampered

STOPPER = Actor("stopper", "smoke")


@pytest.fixture(autouse=True)
def _ready(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick(monkeypatch)
    add(screener, "FIRST")
    yield
    failpoints.clear()


def brought(stream: Stream, to: Stage) -> None:
    """Brought there and proven, with no relay left."""
    with relay_at_work(stream):
        bring(stream, to)
        proven(stream)


def stopped_at(place: str, stream: Stream) -> None:
    """Somebody disables the stream there."""

    def stop() -> None:
        disable(stream, STOPPER)

    failpoints.at(place, stop)


def captures(stream: Stream, store: Store) -> bool:
    """Whether a write there would be noted."""
    return switch.state(stream, store).capture


def test_no_write_that_starts_after_it_is_noted_and_nothing_is_verified_any_more(
    screener: Session, memberships: Stream
) -> None:
    brought(memberships, Stage.SHADOW)
    assert stream_status(memberships)["verified"]
    before = switch.authority(memberships)
    done = disable(memberships, STOPPER)
    assert (done.changed, done.authority, done.pending) == (True, "screener", ())
    add(screener, "UNSEEN")
    assert noted(screener) == []
    row = stream_status(memberships)
    assert (row["stage"], row["mirroring"], row["verified"]) == ("shadow", "disabled", False)
    assert [gate["gate"] for gate in row["blocked_by"]] == ["disabled"]
    after = switch.authority(memberships)
    assert (after.capture, after.backfilled, after.generation) == (False, False, before.generation + 1)


def test_doing_it_again_changes_nothing(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    disable(memberships, STOPPER)
    before = everything(screener, registry)
    assert not disable(memberships, STOPPER).changed
    assert everything(screener, registry) == before


def test_on_a_stream_never_enabled_it_changes_nothing_but_is_known(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    before = everything(screener, registry)
    assert not disable(memberships, STOPPER).changed
    after = everything(screener, registry)
    audit = len(TABLES) + TABLES.index("audit")
    assert [n for n, rows in enumerate(after) if rows != before[n]] == [audit]
    assert one(registry, "SELECT actor || ' ' || verb FROM dualwrite.audit") == "stopper disable"


def test_a_dry_run_says_what_it_would_do(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    before = everything(screener, registry)
    would = disable(memberships, STOPPER, dry_run=True)
    assert would.changed
    assert would.plan[0] == "screener: writes of index_memberships are no longer noted. Writers notice nothing."
    assert "the mirror is unverified until a full backfill" in would.plan[-1]
    assert everything(screener, registry) == before


def test_it_says_who_and_why_in_both_places(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    disable(memberships, STOPPER)
    query = "SELECT reason FROM dualwrite.audit WHERE actor = 'stopper' AND verb = %s"
    assert screener.execute(query, ("end capture",)).fetchall() == [("smoke",)]
    assert registry.execute(query, ("disable",)).fetchall() == [("smoke",)]


def test_with_the_registry_away_the_old_store_is_stopped_and_what_is_missing_is_told(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    with monkeypatch.context() as patch:
        away.move(Store.REGISTRY, away.CLOSED_PORT, patch)
        done = disable(memberships, STOPPER)
    assert done.changed
    assert len(done.pending) == 1
    assert "the registry's audit lacks it, the screener's has it" in done.pending[0]
    add(screener, "UNSEEN")
    assert noted(screener) == []


def test_with_the_mirror_away_the_registry_is_stopped(
    registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(memberships, Stage.LIVE)
    with monkeypatch.context() as patch:
        away.move(Store.SCREENER, away.CLOSED_PORT, patch)
        done = disable(memberships, STOPPER)
    assert (done.changed, done.authority, done.pending) == (True, "registry", ())
    write(registry, Store.REGISTRY, "UNSEEN")
    assert one(registry, "SELECT count(*) FROM dualwrite.outbox") == 0


def test_with_the_authority_away_it_cannot_be_done_and_does_not_say_it_was(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    with monkeypatch.context() as patch:
        away.move(Store.SCREENER, away.CLOSED_PORT, patch)
        with pytest.raises(StoreUnreachable):
            disable(memberships, STOPPER)
    assert captures(memberships, Store.SCREENER)


def test_it_waits_for_the_end_of_a_switch_and_stops_the_store_that_then_takes_the_writes(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_TIMEOUT_SECONDS", "60")
    brought(memberships, Stage.SHADOW)
    fenced, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        fenced.set()
        assert go_on.wait(60)

    failpoints.at("switch fenced", wait)
    failpoints.at("disable waits", go_on.set)
    with relay_at_work(memberships), at_work(lambda: advance(memberships, TESTER)) as switching:
        try:
            assert fenced.wait(60)
            done = disable(memberships, STOPPER)
        finally:
            go_on.set()
        assert switching.result().after == "live"
    assert (done.changed, done.authority) == (True, "registry")
    assert not captures(memberships, Store.REGISTRY)
    assert transition.stage_of(memberships) is Stage.LIVE


def test_a_switch_that_does_not_end_is_named_after_a_while(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_TIMEOUT_SECONDS", "0.1")
    monkeypatch.setattr(disabling, "SPARE_SECONDS", 0.0)
    with switch.span(memberships, Store.SCREENER, patience=5.0, silence=60) as frozen:
        switch.fence(memberships, Store.SCREENER, TESTER, session=frozen)
        with pytest.raises(Refused, match=f"a switch is under way \\(process {frozen.info.backend_pid}"):
            disable(memberships, STOPPER)
    assert disable(memberships, STOPPER).changed, "once its session has ended it is settled, then stopped"


def test_just_before_the_fence_it_makes_the_switch_refuse(screener: Session, memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    stopped_at("switch locked", memberships)
    with relay_at_work(memberships), pytest.raises(ConcurrentChange, match="no authority with a complete backfill"):
        advance(memberships, TESTER)
    last = transition.latest(memberships)
    assert last is not None
    assert (last.status, transition.stage_of(memberships)) == ("taken_back", Stage.SHADOW)
    add(screener, "UNSEEN")
    assert noted(screener) == []


def test_a_switch_left_half_done_is_settled_first(memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    failpoints.at("switch promoted", kill)
    with relay_at_work(memberships), pytest.raises(Killed):
        advance(memberships, TESTER)
    done = disable(memberships, STOPPER)
    assert (done.changed, done.authority) == (True, "registry")
    assert transition.settle_and_repair(memberships, TESTER)
    assert transition.stage_of(memberships) is Stage.LIVE
    assert not captures(memberships, Store.REGISTRY)


@pytest.mark.parametrize("place", ["enable begun", "enable followed", "enable noted"])
def test_an_enable_under_way_does_not_outlast_it(screener: Session, memberships: Stream, place: str) -> None:
    """The stop has the last word, also where capture is not yet on when it comes."""
    stopped_at(place, memberships)
    with pytest.raises(ConcurrentChange):
        enable(memberships, TESTER)
    assert not captures(memberships, Store.SCREENER)
    add(screener, "UNSEEN")
    assert '["NSE:UNSEEN","NIFTY 50"]' not in noted(screener)


def test_enabling_afterwards_takes_up_what_was_missed_and_asks_for_a_new_proof(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    brought(memberships, Stage.SHADOW)
    disable(memberships, STOPPER)
    add(screener, "UNSEEN")
    screener.execute("DELETE FROM index_memberships WHERE symbol = 'FIRST'")
    enable(memberships, TESTER)
    worker.drain(memberships)
    assert held(screener, registry) == ({"UNSEEN"}, {"UNSEEN"})
    row = stream_status(memberships)
    assert (row["stage"], row["mirroring"], row["verified"]) == ("shadow", "active", False)
    assert validate(memberships).status == "passed"
    assert stream_status(memberships)["verified"]


def test_at_live_enabling_goes_in_the_other_direction_and_leaves_the_stage(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    brought(memberships, Stage.LIVE)
    disable(memberships, STOPPER)
    write(registry, Store.REGISTRY, "UNSEEN")
    registry.execute("DELETE FROM index_memberships WHERE instrument_key = 'NSE:FIRST'")
    done = enable(memberships, TESTER)
    assert done.preview is not None
    assert (done.preview.add, done.preview.delete) == (1, 1)
    worker.drain(memberships)
    assert held(screener, registry) == ({"UNSEEN"}, {"UNSEEN"})
    assert transition.stage_of(memberships) is Stage.LIVE
    assert switch.authority(memberships).store is Store.REGISTRY


def test_at_complete_enabling_is_refused_and_there_is_nothing_to_disable(memberships: Stream) -> None:
    brought(memberships, Stage.RAMPDOWN)
    with relay_at_work(memberships):
        bring(memberships, Stage.COMPLETE)
    for dry_run in (True, False):
        with pytest.raises(Refused, match="the old store is no part of it any more"):
            enable(memberships, TESTER, dry_run=dry_run)
    assert not disable(memberships, STOPPER).changed
    assert not captures(memberships, Store.REGISTRY)


def test_a_backfill_mends_the_mirror_and_keeps_what_was_proven(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    add(screener, "SECOND")
    with relay_at_work(memberships):
        proven(memberships)
    before = switch.authority(memberships)
    tampered(registry, "DELETE FROM index_memberships WHERE instrument_key = 'NSE:FIRST'")
    assert backfill(memberships, TESTER).noted == 2
    worker.drain(memberships)
    assert held(screener, registry) == ({"FIRST", "SECOND"},) * 2
    assert switch.authority(memberships) == before
    assert stream_status(memberships)["verified"]


def test_a_backfill_of_a_stream_that_is_not_mirrored_is_refused_and_says_what_to_do(memberships: Stream) -> None:
    with pytest.raises(Refused, match=r"manage\.py dualwrite enable --stream index_memberships"):
        backfill(memberships, TESTER)
    enabled(memberships)
    disable(memberships, STOPPER)
    for dry_run in (True, False):
        with pytest.raises(Refused, match="is not mirrored to the registry store"):
            backfill(memberships, TESTER, dry_run=dry_run)


def test_a_dry_run_of_a_backfill_says_what_the_mirror_would_get(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    done = backfill(memberships, TESTER, dry_run=True)
    assert done.preview is not None
    assert (done.noted, done.preview.add, done.preview.delete) == (0, 0, 0)
    assert noted(screener) == []
