"""Several relays share a stream: each its part, nobody's part is left alone, and nobody works on another one's."""

import time
from argparse import ArgumentTypeError

import pytest

from dualwrite.control.backfill import backfill
from dualwrite.exceptions import Superseded, UsageError
from dualwrite.management.commands.relay import partitions
from dualwrite.relay import fleet, worker
from dualwrite.relay import pipe as pipes
from dualwrite.relay.pipe import Moved, Pipe, open_pipe
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration.moving import eventually
from tests.integration.relays import relay
from tests.support import add, column, enabled, fill, mirrored, one, opened

ALL = list(range(16))


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def balanced(*pipes: Pipe) -> list[list[int]]:
    """What each has once all of them have looked twice."""
    for _ in range(2):
        for pipe in pipes:
            assert pipe.check()
    return [sorted(pipe.partitions) for pipe in pipes]


@pytest.mark.parametrize(("relays", "each"), [(1, 16), (2, 8), (3, 6), (4, 4), (16, 1), (17, 1)])
def test_the_shares_of_all_relays_cover_every_partition(relays: int, each: int) -> None:
    assert fleet.share(16, relays) == each
    assert fleet.share(16, relays) * relays >= 16


def test_relays_that_come_and_go_share_all_partitions(memberships: Stream) -> None:
    with opened(memberships) as first:
        assert balanced(first) == [ALL]
        with opened(memberships) as second, opened(memberships) as third:
            shares = balanced(first, second, third)
            assert sorted(p for share in shares for p in share) == ALL, "each has one worker, and only one"
            assert max(map(len, shares)) <= 6
            assert min(map(len, shares)) >= 4
        eventually(lambda: balanced(first) == [ALL], seconds=5)


def test_each_relay_relays_the_keys_of_its_own_partitions(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with opened(memberships) as first, opened(memberships) as second:
        shares = balanced(first, second)
        fill(screener, 500)
        of_partition = "SELECT count(DISTINCT key) FROM dualwrite.waiting WHERE partition = ANY (%s)"
        expected = [one(screener, of_partition, share) for share in shares]
        assert [drained(first), drained(second)] == expected
        assert all(expected)
    assert len(mirrored(registry)) == 500


def drained(pipe: Pipe) -> int:
    keys = 0
    while moved := pipe.move().keys:
        keys += moved
    return keys


def test_partitions_of_a_killed_relay_are_worked_on_within_five_seconds(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with opened(memberships) as killed, relay(memberships):
        eventually(lambda: balanced(killed)[0] != ALL, seconds=10)
        fill(screener, 200)
        eventually(lambda: 0 < len(mirrored(registry)) < 200, seconds=5)
        # What a kill does: the kernel closes its connections.
        for session in (killed._presence._session, killed._source, killed._mirror):
            screener_or_registry = screener if session.info.dbname == screener.info.dbname else registry
            screener_or_registry.execute("SELECT pg_terminate_backend(%s, 5000)", (session.info.backend_pid,))
        began = time.monotonic()
        eventually(lambda: len(mirrored(registry)) == 200, seconds=5)
        assert time.monotonic() - began < 5


def test_a_relay_that_stands_still_loses_its_partitions_and_is_refused_when_it_wakes_up(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process sleeps: no beat, nothing relayed; the server ends its silent connection."""
    monkeypatch.setattr(fleet, "BEAT_SECONDS", 3600.0)
    add(screener, "A", weight=1)
    with opened(memberships) as asleep:
        monkeypatch.undo()
        with relay(memberships):
            eventually(lambda: mirrored(registry) == {"NSE:A": 1}, seconds=10)
        with pytest.raises(Superseded):
            asleep.check()


def test_a_relay_gives_nothing_away_that_it_has_in_hand(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read a batch ahead when it gives partitions away; the other relay applies a newer record first."""
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "30")
    for number in range(40):
        add(screener, f"S{number}", weight=1)
    with opened(memberships) as first:
        assert first.move().keys == 30, "so the other ten are read ahead, of the last partitions"
        with opened(memberships) as second:
            screener.execute("UPDATE index_memberships SET weight = 2")
            assert balanced(first, second) == [sorted(first.partitions), sorted(second.partitions)]
            assert len(second.partitions) == 8
            drained(second)
            drained(first)
    assert set(mirrored(registry).values()) == {2}
    assert len(mirrored(registry)) == 40
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox") == 0


def test_a_relay_that_was_told_its_partitions_has_those_alone(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with open_pipe(memberships, only=[3, 5]) as told, opened(memberships) as other:  # type: ignore[union-attr]
        assert balanced(told, other) == [[3, 5], sorted(set(ALL) - {3, 5})]
        fill(screener, 300)
        mine = one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting WHERE partition IN (3, 5)")
        assert drained(told) == mine > 0
        assert drained(other) == 300 - mine
    with pytest.raises(UsageError, match="has no partition 16; valid: 0 to 15"):
        open_pipe(memberships, only=[16])


def test_a_relay_that_was_told_its_partitions_gets_them_from_those_that_were_there_before(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """As when it is started again: meanwhile the others have taken them."""
    others = sorted(set(ALL) - {3, 5})
    with opened(memberships) as first, opened(memberships) as second:
        assert sorted(p for share in balanced(first, second) for p in share) == ALL
        with open_pipe(memberships, only=[3, 5]) as told:  # type: ignore[union-attr]
            _, *shares = balanced(told, first, second)
            assert balanced(told) == [[3, 5]]
            assert sorted(p for share in shares for p in share) == others
            assert [len(share) for share in shares] == [7, 7], "they share what is left"
        eventually(lambda: sorted(p for share in balanced(first, second) for p in share) == ALL, seconds=5)


@pytest.mark.parametrize("only", [(), ALL])
def test_while_a_switch_relays_nobody_takes_what_another_relay_did_not_give_up_in_time(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, only: list[int]
) -> None:
    """Else that one, or the next, takes the fences of the switch, which then fails."""
    monkeypatch.setattr(pipes, "GIVE_WAY_SECONDS", 0.1)
    busy = opened(memberships)
    with open_pipe(memberships, insist=True) as switching:  # type: ignore[union-attr]
        busy.close()
        add(screener, "A")
        with open_pipe(memberships, only=only) as back:  # type: ignore[union-attr]
            assert balanced(back, switching) == [[], ALL]
            assert switching.move().keys == 1
            switching.close()
            eventually(lambda: balanced(back) == [ALL], seconds=5)
    assert mirrored(registry) == {"NSE:A": None}


def test_a_relay_that_stands_still_with_its_fences_locked_keeps_only_its_own_keys_waiting(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """It was stopped in the middle of a transaction; the server ends that only after half a minute."""
    with dedicated(Store.REGISTRY, "a relay asleep") as asleep, asleep.transaction():
        asleep.execute("SELECT FROM dualwrite.relay_fence WHERE partition < 4 FOR UPDATE")
        fill(screener, 300)
        its = one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting WHERE partition < 4")
        with opened(memberships) as other:
            assert balanced(other) == [ALL[4:]]
            assert drained(other) == 300 - its
            asleep.execute("ROLLBACK")
            assert balanced(other) == [ALL]
            assert drained(other) == its > 0
        asleep.execute("BEGIN")
    assert len(mirrored(registry)) == 300


@pytest.mark.parametrize("text", ["64", "0-99999999999", "5-3", "3-", "-3", "", "²", "9" * 5000])
def test_what_names_no_partitions_is_refused_at_once(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no partition; valid: a number up to 63, or two as in 0-7"):
        partitions(text)


def test_partitions_are_named_by_one_number_or_two() -> None:
    assert [list(partitions(text)) for text in ("0", "63", "2-4", "5-5")] == [[0], [63], [2, 3, 4], [5]]


def test_draining_some_partitions_ends_when_nothing_waits_in_them(screener: Session, memberships: Stream) -> None:
    fill(screener, 300)
    mine = one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting WHERE partition = 7")
    assert worker.drain(memberships, only=[7]) == Moved(keys=mine)
    assert one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting") == 300 - mine


def test_four_relays_beside_writers_bring_everything_over(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with relay(memberships), relay(memberships), relay(memberships), relay(memberships):
        for turn in range(1, 6):
            for number in range(30):
                if turn == 1:
                    add(screener, f"S{number}", weight=turn)
                else:
                    screener.execute("UPDATE index_memberships SET weight = %s WHERE symbol = %s", (turn, f"S{number}"))
        eventually(lambda: mirrored(registry) == {f"NSE:S{n}": 5 for n in range(30)}, seconds=20)
    assert column(screener, "SELECT key FROM dualwrite.waiting") == []


def test_a_backfill_yields_to_a_write(screener: Session, registry: Session, memberships: Stream) -> None:
    """One small batch after a large backfill was noted brings the write, although it was noted last."""
    fill(screener, 2000)
    worker.drain(memberships)
    backfill(memberships, TESTER)
    add(screener, "LATE", weight=3)
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox WHERE lane & 64 <> 0 AND cause = 'b'") > 0
    with opened(memberships) as pipe, pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "10")
        pipe.move()
        assert mirrored(registry)["NSE:LATE"] == 3
        # And comes to its end although writes go on.
        for number in range(20):
            add(screener, f"MORE{number}")
            pipe.move()
    assert one(screener, "SELECT count(*) FROM dualwrite.waiting WHERE cause = 'b'") < 2001
