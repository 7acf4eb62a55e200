"""Changing into how many partitions the keys fall: only when nothing is noted, and nobody goes on by the old number."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from dualwrite import failpoints, outbox, stores, switch
from dualwrite.control.handover import hand_over
from dualwrite.control.partitions import repartition
from dualwrite.exceptions import (
    AlreadyRunning,
    ConcurrentChange,
    DualWriteError,
    Refused,
    StoreUnreachable,
    Superseded,
    UsageError,
)
from dualwrite.relay import worker
from dualwrite.relay.inline import open_inline
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import locks
from tests.conftest import TESTER
from tests.integration.moving import Killed, eventually, kill, roles
from tests.integration.relays import relay
from tests.support import add, at_work, column, enabled, fill, mirrored, one, opened, until_it_waits


@contextmanager
def at(point: str, action: Callable[[], None]) -> Iterator[None]:
    """Something happens there."""
    failpoints.at(point, action)
    try:
        yield
    finally:
        failpoints.clear()


NUMBERS = "SELECT partitions FROM dualwrite.stream_state WHERE stream = 'index_memberships'"


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def numbers(*sessions: Session) -> set[int]:
    return {one(session, NUMBERS) for session in sessions}


@pytest.mark.parametrize("to", [1, 2, 32, 64])
def test_keys_fall_into_as_many_partitions_as_were_chosen(
    screener: Session, registry: Session, memberships: Stream, to: int
) -> None:
    fill(screener, 100)
    done = repartition(memberships, to, TESTER)
    assert (done.before, done.partitions, done.changed) == (16, to, True)
    assert numbers(screener, registry) == {to}
    assert len(mirrored(registry)) == 100, "what waited was relayed first"
    screener.execute("UPDATE index_memberships SET weight = 1")
    add(screener, "ONE", weight=1)
    used = column(screener, "SELECT DISTINCT partition FROM dualwrite.waiting")
    assert max(used) < to
    assert len(used) > to / 3
    worker.drain(memberships)
    assert set(mirrored(registry).values()) == {1}


def test_a_running_relay_goes_on_with_the_new_number(screener: Session, registry: Session, memberships: Stream) -> None:
    with relay(memberships):
        repartition(memberships, 64, TESTER)
        fill(screener, 300)
        eventually(lambda: len(mirrored(registry)) == 300, seconds=20)
        repartition(memberships, 4, TESTER)
        screener.execute("UPDATE index_memberships SET weight = 2")
        eventually(lambda: set(mirrored(registry).values()) == {2}, seconds=20)


def test_a_relay_with_keys_of_the_old_number_in_hand_is_refused(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with opened(memberships) as old:
        registry.execute("UPDATE dualwrite.stream_state SET partitions = 4 WHERE stream = 'index_memberships'")
        add(screener, "A")
        with pytest.raises(Superseded, match="the number of its partitions was changed"):
            old.move()
        with pytest.raises(Refused, match="16 in the screener store and 4 in the registry store"):
            old.check()


@pytest.mark.parametrize("parts", [None, {'["NSE:A","NIFTY 50"]': 0}], ids=["as the relay does", "a few"])
def test_a_writer_that_mirrors_with_the_old_number_is_refused(
    screener: Session, registry: Session, memberships: Stream, parts: dict[str, int] | None
) -> None:
    """It takes fences whoever has them, so nothing but the number can refuse it."""
    add(screener, "A")
    inline = open_inline(memberships, seconds=5)
    assert inline is not None
    with inline:
        registry.execute("UPDATE dualwrite.stream_state SET partitions = 4 WHERE stream = 'index_memberships'")
        with pytest.raises(Superseded, match="the number of its partitions was changed"):
            inline.mirror(['["NSE:A","NIFTY 50"]'], parts)
    assert mirrored(registry) == {}


@pytest.mark.parametrize("died", ["partitions drained", "partitions half-done"])
def test_one_that_dies_half_way_loses_nothing_and_is_done_again(
    screener: Session, registry: Session, memberships: Stream, died: str
) -> None:
    add(screener, "A")
    with at(died, kill), pytest.raises(Killed):
        repartition(memberships, 4, TESTER)
    add(screener, "B")
    if died == "partitions half-done":
        assert numbers(screener, registry) == {4, 16}
        for look in (lambda: worker.drain(memberships), said):
            with pytest.raises((Refused, CommandError), match="dualwrite partitions --stream index_memberships --to 4"):
                look()
    repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {4}
    worker.drain(memberships)
    assert sorted(mirrored(registry)) == ["NSE:A", "NSE:B"]


@contextmanager
def row_locked(screener: Session) -> Iterator[None]:
    """As a step of a backfill has it, which takes its time."""
    with dedicated(Store.SCREENER, "backfill") as other, other.transaction():
        other.execute("SELECT FROM dualwrite.stream_state FOR SHARE")
        yield


def lose_the_lock(screener: Session) -> None:
    """The session that keeps writers waiting is ended; other workers of the suite use the same server."""
    screener.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name LIKE 'dualwrite switch %' AND datname = current_database()"
    )


def test_one_that_finds_the_authoritys_row_locked_leaves_nothing_half_done(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ROW_LOCK_TIMEOUT", "200ms")
    with ExitStack() as stack:
        stack.enter_context(at("partitions half-done", lambda: stack.enter_context(row_locked(screener))))
        with pytest.raises(Refused, match="somebody else holds its state in the screener store"):
            repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {16}


def test_one_that_is_interrupted_leaves_nothing_half_done(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with at("partitions half-done", interrupt), pytest.raises(KeyboardInterrupt):
        repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {16}


def test_one_that_loses_its_lock_leaves_nothing_half_done(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with at("partitions half-done", lambda: lose_the_lock(screener)), pytest.raises(StoreUnreachable):
        repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {16}


def test_one_that_slept_until_another_was_done_changes_nothing(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """Else the mirror gets a number that the authority does not have, long after its lock was lost."""

    def sleep() -> None:
        lose_the_lock(screener)
        for session in (registry, screener):
            session.execute("UPDATE dualwrite.stream_state SET partitions = 8 WHERE stream = 'index_memberships'")

    with at("partitions drained", sleep), pytest.raises(ConcurrentChange, match="it was changed in the registry store"):
        repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {8}


def test_of_two_at_once_the_second_is_told_and_the_first_goes_on(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 100)
    second: list[DualWriteError] = []

    def another() -> None:
        failpoints.clear()
        with pytest.raises(AlreadyRunning, match="changing its partitions") as refused:
            repartition(memberships, 8, TESTER)
        second.append(refused.value)

    with at("relay read", another):
        assert repartition(memberships, 4, TESTER).changed
    assert {exc.exit_code for exc in second} == {4}
    assert numbers(screener, registry) == {4}
    assert len(mirrored(registry)) == 100


def test_a_switch_that_was_left_half_done_is_ended_first(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with at("switch fenced", kill), pytest.raises(Killed):
        hand_over(memberships, Store.REGISTRY, TESTER)
    assert repartition(memberships, 4, TESTER).changed
    assert numbers(screener, registry) == {4}
    assert Role.FENCED not in roles(memberships)


def test_somebody_who_holds_a_fence_is_told_in_one_sentence_and_nothing_is_changed(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "A")
    monkeypatch.setattr(stores, "DEDICATED", "-c statement_timeout=0 -c lock_timeout=200ms")
    with dedicated(Store.REGISTRY, "a writer asleep") as asleep:

        def hold() -> None:
            asleep.execute("BEGIN")
            asleep.execute("SELECT FROM dualwrite.relay_fence FOR UPDATE")

        with (
            at("relay taken", hold),
            pytest.raises(Refused, match=r"the last keys could not be relayed: .*lock timeout"),
        ):
            repartition(memberships, 4, TESTER)
        asleep.execute("ROLLBACK")
    assert numbers(screener, registry) == {16}


def test_keys_noted_by_hand_meanwhile_stop_it_and_both_stores_agree_still(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A")
    worker.drain(memberships)

    def note() -> None:
        outbox.note(memberships, Store.SCREENER, ['["NSE:A","NIFTY 50"]'], outbox.Cause.REDRIVE)

    with at("partitions half-done", note), pytest.raises(ConcurrentChange, match="keys were noted meanwhile"):
        repartition(memberships, 4, TESTER)
    assert numbers(screener, registry) == {16}
    worker.drain(memberships)


def test_who_notes_keys_by_hand_waits_and_takes_the_new_number(screener: Session, memberships: Stream) -> None:
    """Else its notes would have the partitions of the old number."""
    keys = [f'["NSE:S{number}","X"]' for number in range(50)]
    with dedicated(Store.SCREENER, "change") as changing, changing.transaction():
        changing.execute("UPDATE dualwrite.stream_state SET partitions = 2 WHERE stream = 'index_memberships'")
        with at_work(lambda: outbox.note(memberships, Store.SCREENER, keys, outbox.Cause.REDRIVE)) as noting:
            until_it_waits(screener, noting)
            changing.execute("COMMIT")
            assert noting.result(20) == 50
        changing.execute("BEGIN")
    assert set(column(screener, "SELECT partition FROM dualwrite.waiting")) == {0, 1}


def test_both_stores_have_the_number_so_that_they_can_change_roles(memberships: Stream) -> None:
    repartition(memberships, 8, TESTER)
    assert {state.partitions for state in switch.both(memberships)} == {8}


@pytest.mark.parametrize("to", ["²", "-4", "", "9" * 5000])
def test_what_is_no_number_is_refused_in_a_sentence(stores: None, to: str) -> None:
    with pytest.raises(CommandError, match="is no number of partitions; valid: 1, 2, 4, 8, 16, 32, 64"):
        said(f"--to={to}")


@pytest.mark.parametrize("to", [0, 3, 15, 128])
def test_a_number_that_is_none_is_refused_and_the_valid_ones_are_named(memberships: Stream, to: int) -> None:
    with pytest.raises(UsageError, match=f"{to} is no number of partitions; valid: 1, 2, 4, 8, 16, 32, 64"):
        repartition(memberships, to, TESTER)


def said(*words: str) -> dict[str, object]:
    out = StringIO()
    call_command("dualwrite", "partitions", "--stream", "index_memberships", *words, "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def test_the_command_shows_plans_changes_and_audits(screener: Session, registry: Session) -> None:
    assert said() == {"stream": "index_memberships", "partitions": 16}
    assert said("--to", "4", "--dry-run")["changed"] is True
    assert numbers(screener, registry) == {16}
    assert said("--to", "4")["partitions"] == 4
    assert said("--to", "4")["changed"] is False
    for session in (screener, registry):
        assert one(session, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'partitions'") == 1
