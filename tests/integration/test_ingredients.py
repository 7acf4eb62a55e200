"""What an ingredient of the protocol is for, where no other test shows it: each fails without its ingredient.

`tests/mutants/test_mutations.py` takes them out, one after the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from dualwrite import failpoints, outbox, stores, switch
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import ConcurrentChange, DualWriteError, Refused, Superseded
from dualwrite.outbox import Cause
from dualwrite.relay import worker
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import State, locks
from dualwrite.switch.decision import Step
from tests.conftest import TESTER
from tests.stateful.sleepers import Killed, Sleeper, sleeping_at_failpoints
from tests.support import add, enabled, mirrored, opened
from tests.writing import TABLES, put, records


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> Iterator[None]:
    enabled(memberships)
    yield
    failpoints.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no row longer than a moment: whoever has it sleeps."""
    monkeypatch.setattr(locks, "ROW_LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(stores, "DEDICATED", "-c lock_timeout=100ms")


def move(stream: Stream) -> None:
    """Relay one batch."""
    with opened(stream) as pipe:
        pipe.move()


def asleep(work: Callable[[], object], place: str) -> Sleeper:
    """The work, asleep at that place."""
    sleeper = Sleeper("somebody", work)
    while sleeper.place != place:
        sleeper.wake()
        assert not sleeper.ended, (place, sleeper.error)
    return sleeper


def ends(sleeper: Sleeper) -> BaseException | None:
    """Let it go on to its end, however that is."""
    while not sleeper.ended:
        sleeper.wake()
    return sleeper.error


def test_records_are_read_after_their_notes(screener: Session, registry: Session, memberships: Stream) -> None:
    """A change that comes between both is applied at once; read before the notes, it could go with them."""
    add(screener, "A", weight="1")

    def write_again() -> None:
        screener.execute("UPDATE index_memberships SET weight = 2")

    failpoints.at("relay taken", write_again)
    move(memberships)
    assert mirrored(registry)["NSE:A"] == 2


def test_a_switch_does_not_come_between_a_relays_check_and_its_writes(
    impatient: None, screener: Session, registry: Session, memberships: Stream
) -> None:
    """The role it has checked stays what it is until it commits."""
    add(screener, "A")
    with sleeping_at_failpoints():
        relay = asleep(partial(move, memberships), "relay may apply")
        epoch = switch.fence(memberships, Store.SCREENER, TESTER)
        with pytest.raises(Refused, match="somebody else holds its state in the registry store"):
            switch.promote(memberships, Store.REGISTRY, epoch, TESTER, positions={})
        assert ends(relay) is None
    switch.promote(memberships, Store.REGISTRY, epoch, TESTER, positions={})
    assert "NSE:A" in mirrored(registry)


def test_a_takeover_does_not_come_between_a_relays_check_and_its_writes(
    impatient: None, screener: Session, memberships: Stream
) -> None:
    """The fences it has checked stay its own until it commits."""
    add(screener, "A")
    with sleeping_at_failpoints():
        relay = asleep(partial(move, memberships), "relay may apply")
        with pytest.raises(Refused, match="a relay stands still in the middle of a batch"):
            take_over(memberships)
        assert ends(relay) is None


def take_over(stream: Stream) -> None:
    """Take every partition, whoever has it."""
    pipe = open_pipe(stream, insist=True)
    assert pipe is not None
    pipe.close()


def test_a_relay_of_an_earlier_period_is_refused_in_the_next_one(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """It has read what the registry had then; its notes are gone, and so is nobody to refuse it but the demotion."""
    hand_over(memberships, Store.REGISTRY, TESTER)
    put(registry, TABLES[Store.REGISTRY], ["A"], "then")
    with sleeping_at_failpoints():
        zombie = asleep(partial(move, memberships), "relay read")
        registry.execute("DELETE FROM dualwrite.outbox")
        swap(memberships, Store.SCREENER)
        put(screener, TABLES[Store.SCREENER], ["A"], "now")
        worker.drain(memberships)
        swap(memberships, Store.REGISTRY)
        assert isinstance(ends(zombie), Superseded)
    assert records(screener, TABLES[Store.SCREENER]) == {"A": "now"}


def swap(stream: Stream, to: Store) -> None:
    """The steps of a switch alone, with nothing to relay."""
    epoch = switch.fence(stream, to.peer, TESTER)
    switch.promote(stream, to, epoch, TESTER, positions={})
    switch.demote(stream, to.peer, epoch, switch.state(stream, to), TESTER)


def test_what_is_written_until_writers_wait_is_relayed_before_the_promotion(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    seen: list[set[str]] = []
    failpoints.at("switch caught up", lambda: add(screener, "LATE"))
    failpoints.at("switch promoted", lambda: seen.append(set(mirrored(registry))))
    hand_over(memberships, Store.REGISTRY, TESTER)
    assert seen == [{"NSE:LATE"}]


def test_a_dead_switch_with_keys_left_to_relay_is_taken_back(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    failpoints.at("switch caught up", lambda: add(screener, "LATE"))
    failpoints.at("switch fenced", kill)
    with pytest.raises(Killed):
        hand_over(memberships, Store.REGISTRY, TESTER)
    failpoints.clear()
    assert [taken.step for taken in switch.settle(memberships, TESTER)] == [Step.BURN, Step.REVERT]
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:LATE"}


def kill() -> None:
    """End the process here."""
    raise Killed


def test_a_half_filled_store_is_not_promoted(screener: Session, memberships: Stream) -> None:
    switch.end_capture(memberships, Store.SCREENER, TESTER)
    failpoints.at("backfill half noted", kill)
    with pytest.raises(Killed):
        enable(memberships, TESTER)
    failpoints.clear()
    with pytest.raises(ConcurrentChange, match="screener is no authority with a complete backfill"):
        hand_over(memberships, Store.REGISTRY, TESTER)
    assert switch.state(memberships, Store.SCREENER).role is Role.AUTHORITY


def test_writes_are_noted_before_the_other_store_follows(memberships: Stream) -> None:
    switch.end_capture(memberships, Store.SCREENER, TESTER)
    switch.detach(memberships, Store.REGISTRY, TESTER)
    seen: list[tuple[bool, Role]] = []
    failpoints.at("enable captured", lambda: seen.append(look(memberships)))
    enable(memberships, TESTER)
    assert seen == [(True, Role.DETACHED)]


def look(stream: Stream) -> tuple[bool, Role]:
    """Whether the old store notes its writes, and what the registry is."""
    return switch.state(stream, Store.SCREENER).capture, switch.state(stream, Store.REGISTRY).role


def test_a_delete_during_the_backfill_is_not_missed(screener: Session, registry: Session, memberships: Stream) -> None:
    """Both stores have the key when the keys of the mirror are noted, and the old one has not when its own are."""
    add(screener, "A")
    add(screener, "B")
    worker.drain(memberships)
    switch.end_capture(memberships, Store.SCREENER, TESTER)

    def delete() -> None:
        screener.execute("DELETE FROM index_memberships WHERE symbol = 'A'")

    failpoints.at("backfill half noted", delete)
    enable(memberships, TESTER)
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:B"}


LATE: dict[str, Callable[[Stream, int], object]] = {
    "promote": lambda stream, epoch: switch.promote(stream, Store.REGISTRY, epoch, TESTER, positions={}),
    "burn": lambda stream, epoch: switch.burn(stream, Store.REGISTRY, epoch, TESTER),
}
LATER: dict[str, Callable[[Stream, int], object]] = {
    "demote": lambda stream, epoch: switch.demote(
        stream, Store.SCREENER, epoch, long_ago(stream, Role.AUTHORITY, epoch), TESTER
    ),
    "revert": lambda stream, epoch: switch.revert(
        stream, Store.SCREENER, epoch, long_ago(stream, Role.MIRROR, epoch), TESTER
    ),
}


def long_ago(stream: Stream, role: Role, epoch: int) -> State:
    """The registry as somebody saw it long ago."""
    return replace(switch.state(stream, Store.REGISTRY), role=role, epoch=epoch)


@pytest.mark.parametrize("step", LATE)
def test_an_operator_who_slept_does_nothing_to_a_store_that_was_promoted_and_demoted_meanwhile(
    memberships: Stream, step: str
) -> None:
    epoch = hand_over(memberships, Store.REGISTRY, TESTER).epoch
    hand_over(memberships, Store.SCREENER, TESTER)
    before = switch.both(memberships)
    with pytest.raises(ConcurrentChange):
        LATE[step](memberships, epoch)
    assert switch.both(memberships) == before


@pytest.mark.parametrize("step", LATER)
def test_an_operator_who_slept_does_nothing_to_a_later_switch(memberships: Stream, step: str) -> None:
    epoch = hand_over(memberships, Store.REGISTRY, TESTER).epoch
    hand_over(memberships, Store.SCREENER, TESTER)
    switch.fence(memberships, Store.SCREENER, TESTER)
    before = switch.both(memberships)
    with pytest.raises(ConcurrentChange):
        LATER[step](memberships, epoch)
    assert switch.both(memberships) == before


def test_nobody_reverts_without_having_seen_the_epoch_burnt(memberships: Stream) -> None:
    """Else a sleeping operator promotes afterwards: two authorities."""
    epoch = switch.fence(memberships, Store.SCREENER, TESTER)
    seen = switch.state(memberships, Store.REGISTRY)
    with pytest.raises(ConcurrentChange, match="was not burnt in registry"):
        switch.revert(memberships, Store.SCREENER, epoch, seen, TESTER)
    assert switch.state(memberships, Store.SCREENER).role is Role.FENCED


def test_after_giving_up_nobody_promotes_any_more(screener: Session, registry: Session, memberships: Stream) -> None:
    """An operator who saw everything relayed goes to sleep; the switch is taken back; he wakes up."""
    with sleeping_at_failpoints():
        sleeper = asleep(partial(hand_over, memberships, Store.REGISTRY, TESTER), "switch promoting")
        sleeper.sever(screener, only_locks=True)
        outbox.note(memberships, Store.SCREENER, ['["NSE:A","NIFTY 50"]'], Cause.REDRIVE)
        switch.settle(memberships, TESTER)
        add(screener, "A")
        assert isinstance(ends(sleeper), DualWriteError)
    assert [state.role for state in switch.both(memberships)] == [Role.AUTHORITY, Role.MIRROR]
    worker.drain(memberships)
    assert set(mirrored(registry)) == {"NSE:A"}
