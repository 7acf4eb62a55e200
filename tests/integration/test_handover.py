"""The switch itself: the authority moves there and back, and whatever dies in between, nothing is lost."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from threading import Event, Thread

import pytest
from django.db import DatabaseError, connections
from psycopg import errors

from dualwrite import failpoints, outbox, router, switch
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import ConcurrentChange, Refused, TakenBack
from dualwrite.models import StreamControl
from dualwrite.relay import worker
from dualwrite.runs import Progress, Watch
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import locks
from dualwrite.validation.run import validate
from registry.screener.models import ScreenerIndexMembership
from tests.conftest import TESTER
from tests.integration.moving import eventually
from tests.support import add, at_work, enabled, mirrored, one, until_it_waits


class Killed(BaseException):
    """The process ended here: nothing catches it."""


@pytest.fixture(autouse=True)
def _no_failpoints() -> Iterator[None]:
    yield
    failpoints.clear()


def kill() -> None:
    """End the process, as far as its databases can tell."""
    raise Killed


def roles(stream: Stream) -> tuple[Role, Role]:
    """Of screener and registry."""
    screener, registry = switch.both(stream)
    return screener.role, registry.role


def held(screener: Session) -> dict[str, object]:
    """What the old store's memberships are: symbol → sector."""
    return dict(screener.execute("SELECT exchange || ':' || symbol, sector FROM index_memberships").fetchall())


def write_registry(registry: Session, symbol: str, sector: str = "new") -> None:
    """A membership written where the registry is the authority."""
    registry.execute(
        "INSERT INTO index_memberships (instrument_key, index_id, sector, is_active) VALUES (%s, 'NIFTY 50', %s, true)",
        (f"NSE:{symbol}", sector),
    )


def test_the_authority_moves_there_and_back_and_writes_follow_in_both_directions(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    add(screener, "A", sector="old")
    there = hand_over(memberships, Store.REGISTRY, TESTER)
    assert roles(memberships) == (Role.MIRROR, Role.AUTHORITY)
    assert "NSE:A" in mirrored(registry), "what was written just before had to be relayed"
    assert there.keys == 1

    write_registry(registry, "B")
    registry.execute("DELETE FROM index_memberships WHERE instrument_key = 'NSE:A'")
    back = hand_over(memberships, Store.SCREENER, TESTER)
    assert held(screener) == {"NSE:B": "new"}
    assert roles(memberships) == (Role.AUTHORITY, Role.MIRROR)
    assert back.epoch == there.epoch + 1

    add(screener, "C")
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:B", "NSE:C"}


def test_a_writer_that_waited_is_told_the_right_store(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    writing: list[Future[None]] = []
    with dedicated(Store.SCREENER, "watch") as watch, ExitStack() as stack:

        def write_meanwhile() -> None:
            writing.append(stack.enter_context(at_work(lambda: add(screener, "LATE"))))
            until_it_waits(watch, writing[0])

        failpoints.at("switch fenced", write_meanwhile)
        hand_over(memberships, Store.REGISTRY, TESTER)
        with pytest.raises(errors.DatabaseError, match=r"the registry store takes its writes, this one \(scr"):
            writing[0].result(timeout=20)
    assert held(screener) == {}


def test_a_writer_that_does_not_finish_is_named_and_nothing_is_changed(
    memberships: Stream, screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_LOCK_SECONDS", "0.1")
    before = switch.both(memberships)
    with screener.transaction():
        add(screener, "SLOW")
        pid = screener.info.backend_pid
        with pytest.raises(Refused, match=f"a writer does not finish \\(process {pid}"):
            hand_over(memberships, Store.REGISTRY, TESTER)
    assert switch.both(memberships) == before
    worker.drain(memberships)


def test_a_key_parked_during_the_drain_takes_the_switch_back(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)

    failpoints.at("switch caught up", lambda: add(screener, "X", sector="x"))
    registry.execute("ALTER TABLE index_memberships ADD CONSTRAINT no_x CHECK (sector <> 'x')")
    try:
        with pytest.raises(TakenBack, match="1 keys could not be applied to registry"):
            hand_over(memberships, Store.REGISTRY, TESTER)
        assert roles(memberships) == (Role.AUTHORITY, Role.MIRROR)
        add(screener, "Y")
    finally:
        registry.execute("ALTER TABLE index_memberships DROP CONSTRAINT no_x")
    worker.drain(memberships)
    assert "NSE:Y" in mirrored(registry)


def test_a_drain_that_takes_too_long_takes_the_switch_back_and_its_epoch_is_burnt(
    memberships: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_SWITCH_TIMEOUT_SECONDS", "0.1")

    def outlast() -> None:
        Event().wait(0.3)

    failpoints.at("switch fenced", outlast)
    with pytest.raises(TakenBack, match=r"took longer than 0\.1 s"):
        hand_over(memberships, Store.REGISTRY, TESTER)
    old, new = switch.both(memberships)
    assert (old.role, new.role, old.epoch) == (Role.AUTHORITY, Role.MIRROR, new.epoch)
    with pytest.raises(ConcurrentChange):
        switch.promote(memberships, Store.REGISTRY, old.epoch, TESTER, positions={})
    add(screener, "GOES ON")


CRASHES = ["switch locked", "switch fenced", "switch drained", "switch promoted", "switch demoted"]


@pytest.mark.parametrize("place", CRASHES)
@pytest.mark.parametrize("first", [Store.REGISTRY, Store.SCREENER])
def test_a_switch_that_died_is_settled_and_nothing_is_lost(
    memberships: Stream, screener: Session, registry: Session, place: str, first: Store
) -> None:
    enabled(memberships)
    add(screener, "A")
    if first is Store.SCREENER:
        hand_over(memberships, Store.REGISTRY, TESTER)
    failpoints.at(place, kill)
    with pytest.raises(Killed):
        hand_over(memberships, first, TESTER)
    failpoints.clear()
    switch.settle(memberships, TESTER)
    assert set(roles(memberships)) == {Role.AUTHORITY, Role.MIRROR}
    if switch.authority(memberships).store is Store.SCREENER:
        add(screener, "B")
    else:
        write_registry(registry, "B")
    worker.drain(memberships)
    assert set(held(screener)) == {"NSE:A", "NSE:B"} == set(mirrored(registry))


def test_a_relay_settles_what_a_dead_switch_left(memberships: Stream, screener: Session, registry: Session) -> None:
    enabled(memberships)
    failpoints.at("switch fenced", kill)
    with pytest.raises(Killed):
        hand_over(memberships, Store.REGISTRY, TESTER)
    failpoints.clear()
    assert Role.FENCED in roles(memberships)
    lane = worker.Lane(memberships)
    try:
        lane.step()
    finally:
        lane.close()
    assert set(roles(memberships)) == {Role.AUTHORITY, Role.MIRROR}


def test_a_relay_settles_a_switch_that_died_after_its_promotion(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    failpoints.at("switch promoted", kill)
    with pytest.raises(Killed):
        hand_over(memberships, Store.REGISTRY, TESTER)
    failpoints.clear()
    assert roles(memberships) == (Role.FENCED, Role.AUTHORITY)
    lane = worker.Lane(memberships)
    try:
        lane.step()
    finally:
        lane.close()
    assert roles(memberships) == (Role.MIRROR, Role.AUTHORITY)


def test_settling_leaves_a_switch_alone_that_is_under_way(memberships: Stream, screener: Session) -> None:
    enabled(memberships)
    seen = []

    def meddle() -> None:
        with pytest.raises(Refused):
            switch.settle(memberships, TESTER)
        seen.append(roles(memberships))

    failpoints.at("switch fenced", meddle)
    hand_over(memberships, Store.REGISTRY, TESTER)
    assert seen == [(Role.FENCED, Role.MIRROR)]
    assert roles(memberships) == (Role.MIRROR, Role.AUTHORITY)


def test_a_relay_at_work_gives_way_to_the_switch_and_goes_on_in_the_other_direction(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    stop = Event()

    def relay() -> None:
        try:
            worker.run([memberships], stop)
        finally:
            connections.close_all()

    thread = Thread(target=relay)
    thread.start()
    try:
        add(screener, "A")
        hand_over(memberships, Store.REGISTRY, TESTER)
        write_registry(registry, "B")
        until = Event()
        for _ in range(200):
            if "NSE:B" in held(screener):
                break
            until.wait(0.05)
        assert set(held(screener)) == {"NSE:A", "NSE:B"}
    finally:
        stop.set()
        thread.join()
    assert outbox.pending(memberships, Store.REGISTRY).count == 0


def test_a_validation_during_which_the_stream_is_switched_says_nothing(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    add(screener, "A")
    worker.drain(memberships)

    told: list[str] = []

    def switch_and_write(reached: Progress) -> None:
        told.append(reached.phase)
        if told == ["comparing as a whole"]:
            hand_over(memberships, Store.REGISTRY, TESTER)
            write_registry(registry, "B")

    run = validate(memberships, "strict", watch=Watch(switch_and_write))
    assert (run.status, run.differences) == ("error", [])
    assert "was switched, disabled or enabled meanwhile" in run.error
    worker.drain(memberships)
    assert validate(memberships).status == "passed"


def test_what_was_confirmed_to_the_brake_does_not_hold_after_a_switch(memberships: Stream, screener: Session) -> None:
    enabled(memberships)
    StreamControl.objects.filter(stream=memberships.name).update(brake_lifted_until=1_000_000)
    hand_over(memberships, Store.REGISTRY, TESTER)
    assert StreamControl.objects.get(stream=memberships.name).brake_lifted_until is None


def test_what_is_written_while_the_lock_is_asked_for_is_relayed_meanwhile(
    memberships: Stream, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0.05)
    seen: list[bool] = []
    with dedicated(Store.SCREENER, "slow writer") as slow:
        slow.execute("BEGIN")
        add(slow, "SLOW")
        with at_work(lambda: hand_over(memberships, Store.REGISTRY, TESTER)) as switching:
            until_it_waits(screener, switching)
            add(screener, "MEANWHILE")
            eventually(lambda: "NSE:MEANWHILE" in mirrored(registry))
            seen.append(switching.done())
            slow.execute("COMMIT")
            switching.result(timeout=20)
    assert seen == [False]
    assert set(mirrored(registry)) == {"NSE:SLOW", "NSE:MEANWHILE"}


def test_the_router_lets_a_writer_wait_for_the_end_of_a_switch(
    memberships: Stream, screener: Session, registry: Session
) -> None:
    enabled(memberships)
    writing: list[Future[None]] = []
    with dedicated(Store.SCREENER, "watch") as watch, ExitStack() as stack:

        def write_meanwhile() -> None:
            router.forget_roles()
            late = ScreenerIndexMembership(exchange="NSE", symbol="LATE", index_name="X")
            writing.append(stack.enter_context(at_work(late.save)))
            until_it_waits(watch, writing[0])

        failpoints.at("switch fenced", write_meanwhile)
        hand_over(memberships, Store.REGISTRY, TESTER)
        with pytest.raises(DatabaseError, match=r"the registry store takes its writes, this one \(scr"):
            writing[0].result(timeout=20)
    assert held(screener) == {}


def test_settling_does_not_queue_for_the_lock_of_a_switch_under_way(memberships: Stream, screener: Session) -> None:
    enabled(memberships)
    queued = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 25719 AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
    seen: set[int] = set()
    with dedicated(Store.SCREENER, "watch") as watch:

        def meddle() -> None:
            with at_work(lambda: switch.settle(memberships, TESTER)) as settling:
                while not settling.done():
                    seen.add(one(watch, queued))
                with pytest.raises(Refused, match="a switch is under way"):
                    settling.result()

        failpoints.at("switch fenced", meddle)
        hand_over(memberships, Store.REGISTRY, TESTER)
    assert seen == {0}


@pytest.mark.parametrize("burnt", [True, False])
def test_a_step_that_waited_for_another_change_sees_what_it_did(
    memberships: Stream, screener: Session, registry: Session, burnt: bool
) -> None:
    enabled(memberships)
    with switch.span(memberships, Store.SCREENER, patience=5, silence=60) as writers:
        epoch = switch.fence(memberships, Store.SCREENER, TESTER, session=writers)
        with dedicated(Store.REGISTRY, "watch") as watch, ExitStack() as stack:
            with registry.transaction():
                registry.execute(
                    "UPDATE dualwrite.stream_state SET epoch = %s, generation = 41 WHERE stream = 'index_memberships'",
                    (epoch if burnt else epoch - 1,),
                )
                promoting = stack.enter_context(
                    at_work(lambda: switch.promote(memberships, Store.REGISTRY, epoch, TESTER, positions={}))
                )
                until_it_waits(watch, promoting)
            if burnt:
                with pytest.raises(ConcurrentChange):
                    promoting.result(20)
            else:
                assert promoting.result(20).generation == 42
    found = registry.execute("SELECT before, after FROM dualwrite.audit WHERE verb = 'promote'").fetchall()
    assert [(before["generation"], after["generation"]) for before, after in found] == ([] if burnt else [(41, 42)])
