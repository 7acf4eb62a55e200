"""Writing records by the engine: each lands where writes go, and at once in the other store, whatever that one does."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from dualwrite import failpoints, outbox, writing
from dualwrite.control.disable import disable
from dualwrite.control.handover import hand_over
from dualwrite.control.partitions import repartition
from dualwrite.control.pause import pause, resume
from dualwrite.exceptions import NotAuthority, RecordRefused, StoreUnreachable, Superseded
from dualwrite.models import ParkedKey
from dualwrite.relay import parking, worker
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from dualwrite.writing import Outcome, Written
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move
from tests.integration.moving import bring, eventually, quick, relay_at_work, relayed
from tests.support import add, at_work, column, enabled, fill, mirrored, noted, one, opened, until_it_waits

INLINE = "INSTRUMENT_REGISTRY_INLINE_RELAY_SECONDS"
WRITTEN_AND = (Outcome.WRITTEN, Outcome.MIRRORED)


@pytest.fixture(autouse=True)
def _close(stores: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # What is tested is not how fast a busy machine is; where the bound is tested it is set there.
    monkeypatch.setenv(INLINE, "10")
    yield
    failpoints.clear()
    writing.close()


def record(symbol: str, weight: object = 1, index: str = "NIFTY 50") -> dict[str, object]:
    return {
        "instrument_key": f"NSE:{symbol}",
        "index_id": index,
        "weight": weight,
        "sector": None,
        "date_added": None,
    }


def outcomes(written: Written) -> tuple[Outcome, ...]:
    return tuple(one.outcome for one in written.stores.values())


def put(stream: Stream, symbol: str, weight: object = 1) -> tuple[Outcome, ...]:
    [written] = stream.write([record(symbol, weight)])
    return outcomes(written)


def weights(screener: Session) -> dict[str, Any]:
    rows = screener.execute("SELECT exchange || ':' || symbol, weight FROM index_memberships").fetchall()
    return {str(key): weight for key, weight in rows}


def both(screener: Session, registry: Session) -> dict[str, Any]:
    """The weights, the same in both stores."""
    found = weights(screener)
    assert mirrored(registry) == found
    return found


def why(written: Written, store: Store = Store.REGISTRY) -> str:
    return written.stores[store].error


def test_a_record_is_written_and_mirrored_before_the_answer(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    [first] = memberships.write([record("A", "1.5")])
    assert first.key == '["NSE:A","NIFTY 50"]'
    assert list(first.stores) == [Store.SCREENER, Store.REGISTRY]
    assert outcomes(first) == WRITTEN_AND
    assert all(one.milliseconds > 0 and not one.error for one in first.stores.values())
    assert both(screener, registry) == {"NSE:A": 1.5}
    eventually(lambda: noted(screener) == [])  # soon after the answer
    again = memberships.write([record("A", 2), record("B", None)])
    assert [outcomes(one) for one in again] == [WRITTEN_AND] * 2
    assert both(screener, registry) == {"NSE:A": 2, "NSE:B": None}
    assert memberships.write([]) == []
    assert validate(memberships).status == "passed"


def test_a_write_right_after_the_partitions_were_changed_is_not_told_that_the_stream_is_disabled(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    put(memberships, "A")
    repartition(memberships, 4, TESTER)
    [written] = memberships.write([record("A", 2)])
    assert outcomes(written) == (Outcome.WRITTEN, Outcome.PENDING)
    assert "the number of its partitions was changed" in why(written)
    assert put(memberships, "A", 3) == WRITTEN_AND
    assert both(screener, registry) == {"NSE:A": 3}


def test_after_a_switch_the_registry_is_written_and_the_old_store_follows(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    put(memberships, "A")
    hand_over(memberships, Store.REGISTRY, TESTER)
    [written] = memberships.write([record("A", 2)])
    assert {store: one.outcome for store, one in written.stores.items()} == {
        Store.REGISTRY: Outcome.WRITTEN,
        Store.SCREENER: Outcome.MIRRORED,
    }
    assert both(screener, registry) == {"NSE:A": 2}


def test_at_every_stage_a_record_goes_where_writes_go(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    add(screener, "FIRST")
    assert put(memberships, "OFF") == (Outcome.WRITTEN,), "nothing follows yet"
    with relay_at_work(memberships):
        for number, stage in enumerate(list(Stage)[1:-1]):
            bring(memberships, stage)
            writing.close()
            assert put(memberships, stage, number) == WRITTEN_AND
            assert (weights(screener)[f"NSE:{stage}"], mirrored(registry)[f"NSE:{stage}"]) == (number, number)
        relayed(memberships)
        assert validate(memberships).status == "passed"
        bring(memberships, Stage.COMPLETE)
    writing.close()
    [last] = memberships.write([record("COMPLETE")])
    assert {store: one.outcome for store, one in last.stores.items()} == {Store.REGISTRY: Outcome.WRITTEN}
    assert "NSE:COMPLETE" in mirrored(registry)
    assert "NSE:COMPLETE" not in weights(screener)


def test_without_an_old_store_the_registry_alone_is_written(
    registry: Session, memberships: Stream, settings: Any
) -> None:
    registry.execute("UPDATE dualwrite.stream_state SET role = 'authority'")
    settings.OLD_STORE = False
    [written] = memberships.write([record("A")])
    assert {store: one.outcome for store, one in written.stores.items()} == {Store.REGISTRY: Outcome.WRITTEN}
    assert mirrored(registry) == {"NSE:A": 1}


def test_a_mirror_that_is_away_fails_no_write_and_gets_it_later(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    put(memberships, "A")
    writing.close()
    with monkeypatch.context() as patch:
        move(Store.REGISTRY, CLOSED_PORT, patch)
        [written] = memberships.write([record("A", 2)])
        assert outcomes(written) == (Outcome.WRITTEN, Outcome.PENDING)
        assert "A database cannot be reached: registry" in why(written)
        began = time.monotonic()
        assert put(memberships, "B") == (Outcome.WRITTEN, Outcome.PENDING)
        assert time.monotonic() - began < 5, "nobody waits for a mirror that did not answer"
    connections[Store.REGISTRY.alias].close()
    eventually(lambda: put(memberships, "C") == WRITTEN_AND)
    worker.drain(memberships)
    assert both(screener, registry) == {"NSE:A": 2, "NSE:B": 1, "NSE:C": 1}


def test_a_mirror_that_accepts_and_never_answers_costs_no_more_than_the_bound(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    put(memberships, "A")
    writing.lane.close()
    with monkeypatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as silent:
        move(Store.REGISTRY, silent.getsockname()[1], patch)
        patch.setenv(INLINE, "0.5")
        began = time.monotonic()
        [written] = memberships.write([record("A", 2)])
        assert time.monotonic() - began < 4, "connecting alone is given up after 5 s"
        assert outcomes(written) == (Outcome.WRITTEN, Outcome.PENDING)
        assert "the mirror did not answer within 0.5 s" in why(written)
        writing.close()
    assert weights(screener) == {"NSE:A": 2}


def test_a_locked_mirror_is_waited_for_so_long_and_no_longer(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    put(memberships, "A")
    monkeypatch.setenv(INLINE, "0.5")
    with registry.transaction():
        registry.execute("LOCK TABLE index_memberships")
        began = time.monotonic()
        assert put(memberships, "A", 2) == (Outcome.WRITTEN, Outcome.PENDING)
        assert time.monotonic() - began < 5
    monkeypatch.setenv(INLINE, "10")
    eventually(lambda: put(memberships, "A", 3) == WRITTEN_AND)
    assert both(screener, registry) == {"NSE:A": 3}


def test_a_read_only_mirror_leaves_the_write_pending(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    database = registry.info.dbname
    registry.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    try:
        [written] = memberships.write([record("A")])
    finally:
        registry.execute("SET default_transaction_read_only = off")
        registry.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    assert outcomes(written) == (Outcome.WRITTEN, Outcome.PENDING)
    assert "read-only" in why(written)
    writing.lane.close()
    assert put(memberships, "B") == WRITTEN_AND
    worker.drain(memberships)
    assert both(screener, registry) == {"NSE:A": 1, "NSE:B": 1}


def test_a_lane_that_hangs_delays_only_the_first_writer(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    put(memberships, "A")
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(30)

    failpoints.at("inline taken", hang)
    with monkeypatch.context() as patch:
        # The statements' own bound stays as it is: what hangs here is this process.
        patch.setattr("dualwrite.writing.lane.STATEMENT_SHARE", 20.0)
        patch.setenv(INLINE, "0.5")
        assert [put(memberships, f"S{number}") for number in range(20)] == [(Outcome.WRITTEN, Outcome.PENDING)] * 20
        assert writing.lane.lane_of(memberships)._jobs.qsize() <= 1, "what it cannot do is left to the relay"
        go_on.set()
    eventually(lambda: put(memberships, "B") == WRITTEN_AND)
    worker.drain(memberships)
    assert len(both(screener, registry)) == 22


def test_a_stream_that_stands_still_says_so(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    pause(memberships, TESTER)
    [written] = memberships.write([record("A")])
    assert outcomes(written) == (Outcome.WRITTEN, Outcome.PAUSED)
    assert why(written) == "paused by an operator"
    resume(memberships, TESTER)
    assert put(memberships, "B") == WRITTEN_AND
    registry.execute("UPDATE dualwrite_stream SET held_because = 'too many deletes'")
    [written] = memberships.write([record("C")])
    assert (outcomes(written), why(written)) == ((Outcome.WRITTEN, Outcome.PAUSED), "too many deletes")
    registry.execute("UPDATE dualwrite_stream SET held_because = ''")
    disable(memberships, TESTER)
    [written] = memberships.write([record("D")])
    assert outcomes(written) == (Outcome.WRITTEN, Outcome.PAUSED)
    assert "disabled" in why(written)
    assert "NSE:D" not in mirrored(registry)


def test_a_record_the_mirror_cannot_take_is_parked_and_the_others_are_mirrored(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    found = memberships.write([record("A"), record("BAD", 101), record("C")])
    assert [outcomes(one)[1] for one in found] == [Outcome.MIRRORED, Outcome.PARKED, Outcome.MIRRORED]
    assert "index_memberships_weight_range" in why(found[1])
    assert set(mirrored(registry)) == {"NSE:A", "NSE:C"}
    # Left for a relay, which may have applied a newer record in between.
    eventually(lambda: noted(screener) == [found[1].key])
    worker.drain(memberships)
    parked = ParkedKey.objects.get()
    assert (parked.key, json.loads(json.dumps(parked.record))[0]["weight"]) == (found[1].key, "101.000000")
    assert put(memberships, "BAD", 100) == WRITTEN_AND
    assert not ParkedKey.objects.exists(), "the next write of a parked key mends it"


def test_a_key_parked_late_for_an_older_record_is_looked_at_again(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay fails with the old record; before it parks the key, a writer writes and mirrors a good one."""
    enabled(memberships)
    put(memberships, "OTHER")
    add(screener, "A", weight=101)
    settle = parking.settle
    seen: list[tuple[Outcome, ...]] = []

    def mirror_first(stream: Stream, *rest: Any) -> Any:
        if not seen:
            seen.append(())
            seen[0] = put(stream, "A", 2)
        return settle(stream, *rest)

    monkeypatch.setattr(parking, "settle", mirror_first)
    worker.drain(memberships)
    assert seen == [WRITTEN_AND]
    assert both(screener, registry) == {"NSE:OTHER": 1, "NSE:A": 2}
    assert not ParkedKey.objects.exists()


def test_what_the_authority_refuses_is_raised_and_nothing_is_written(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    hand_over(memberships, Store.REGISTRY, TESTER)
    with pytest.raises(RecordRefused, match="index_memberships_weight_range"):
        memberships.write([record("A"), record("B", 101)])
    with pytest.raises(RecordRefused, match="invalid input syntax"):
        memberships.write([record("A"), record("B", "much")])
    assert both(screener, registry) == {}


def test_an_authority_that_is_away_is_raised(memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled(memberships)
    put(memberships, "A")
    with monkeypatch.context() as patch:
        move(Store.SCREENER, CLOSED_PORT, patch)
        with pytest.raises(StoreUnreachable, match="screener"):
            memberships.write([record("A")])
    connections[Store.SCREENER.alias].close()


def test_a_switch_between_reading_the_roles_and_writing_is_followed_once(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)

    def switch_over() -> None:
        failpoints.clear()
        with at_work(lambda: hand_over(memberships, Store.REGISTRY, TESTER)) as switching:
            switching.result(30)

    failpoints.at("write may begin", switch_over)
    [written] = memberships.write([record("A")])
    assert list(written.stores) == [Store.REGISTRY, Store.SCREENER]
    assert outcomes(written) == WRITTEN_AND
    assert both(screener, registry) == {"NSE:A": 1}


def test_a_second_switch_is_not_followed(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)

    def switch_to(store: Store) -> None:
        with at_work(lambda: hand_over(memberships, store, TESTER)) as switching:
            switching.result(30)

    failpoints.at("write may begin", lambda: switch_to(Store.REGISTRY))
    failpoints.at("write may begin again", lambda: switch_to(Store.SCREENER))
    with pytest.raises(NotAuthority, match="the screener store takes its writes"):
        memberships.write([record("A")])
    assert both(screener, registry) == {}


def test_in_a_callers_transaction_a_record_is_mirrored_when_it_commits(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with transaction.atomic(using=Store.SCREENER.alias):
        [written] = memberships.write([record("A")])
        assert outcomes(written) == (Outcome.WRITTEN, Outcome.PENDING)
        assert why(written) == "mirrored when the caller's transaction commits"
        assert both(screener, registry) == {}
    eventually(lambda: mirrored(registry) == {"NSE:A": 1})
    eventually(lambda: noted(screener) == [])


def test_a_rolled_back_transaction_leaves_nothing_in_either_store(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with transaction.atomic(using=Store.SCREENER.alias):
        memberships.write([record("A")])
        transaction.set_rollback(True, using=Store.SCREENER.alias)
    assert put(memberships, "B") == WRITTEN_AND
    assert both(screener, registry) == {"NSE:B": 1}
    eventually(lambda: noted(screener) == [])


def test_a_refusal_leaves_the_callers_transaction_usable_and_is_not_followed_to_the_other_store(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    put(memberships, "A")
    hand_over(memberships, Store.REGISTRY, TESTER)
    with transaction.atomic(using=Store.SCREENER.alias):
        with pytest.raises(NotAuthority, match="a transaction is open there"):
            memberships.write([record("A", 2)])
        with connections[Store.SCREENER.alias].cursor() as cursor:
            cursor.execute("SELECT weight FROM index_memberships")
            assert cursor.fetchone() == (1,)
    assert put(memberships, "A", 3) == WRITTEN_AND
    assert both(screener, registry) == {"NSE:A": 3}


def test_eight_threads_that_write_the_same_new_keys_leave_both_stores_equal(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """The old table has no unique index: only the service's own lock keeps a key from being inserted twice."""
    enabled(memberships)
    start = threading.Barrier(8)

    def write(number: int) -> list[tuple[Outcome, ...]]:
        try:
            start.wait(20)
            return [put(memberships, f"K{turn}", number) for turn in range(12)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        found = [outcome for one in pool.map(write, range(8)) for outcome in one]
    assert set(found) == {WRITTEN_AND}
    assert one(screener, "SELECT count(*) FROM index_memberships") == 12
    assert len(both(screener, registry)) == 12
    eventually(lambda: noted(screener) == [])
    assert validate(memberships, level="strict").status == "passed"


def test_writers_and_a_relay_work_on_the_same_keys_and_neither_stops_the_other(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 300)
    enabled(memberships)
    done = threading.Event()

    def others() -> int:
        turns = 0
        while not done.is_set():
            screener.execute("UPDATE index_memberships SET weight = coalesce(weight, 0) + 0.001 WHERE symbol <> 'A'")
            turns += 1
        return turns

    with relay_at_work(memberships), at_work(others) as other_writers:
        try:
            found = [put(memberships, "A", number % 100) for number in range(60)]
        finally:
            done.set()
        assert other_writers.result(30) > 1
        relayed(memberships)
    assert found.count(WRITTEN_AND) > 30
    assert weights(screener)["NSE:A"] == 59
    both(screener, registry)
    assert validate(memberships, level="strict").status == "passed"


def test_a_relay_that_read_before_a_writer_mirrored_does_not_put_the_old_record_back(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    put(memberships, "A", 1)
    screener.execute("UPDATE index_memberships SET weight = 2")
    seen: list[Any] = []

    def write_newer() -> None:
        failpoints.at("relay read", None)
        with at_work(lambda: put(memberships, "A", 3)) as writer:
            seen.append(writer.result(30))
        seen.append(mirrored(registry))
        failpoints.at("relay may apply anew", lambda: seen.append(mirrored(registry)))

    failpoints.at("relay read", write_newer)
    assert worker.drain(memberships).keys == 1
    assert seen == [WRITTEN_AND, {"NSE:A": 3}, {"NSE:A": 3}]
    assert both(screener, registry) == {"NSE:A": 3}


def test_a_writer_locks_out_the_relay_from_reading_to_applying(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """Whoever may apply next has to read later than the writer has applied."""
    enabled(memberships)
    put(memberships, "A", 1)
    arrived, go_on = threading.Event(), threading.Event()

    def stop() -> None:
        failpoints.at("relay may apply anew", None)
        arrived.set()
        go_on.wait(20)

    failpoints.at("relay may apply anew", stop)
    with at_work(lambda: put(memberships, "A", 2)) as writing_:
        assert arrived.wait(20)
        screener.execute("UPDATE index_memberships SET weight = 3")
        with at_work(lambda: worker.drain(memberships)) as relaying:
            try:
                until_it_waits(registry, relaying)
            finally:
                go_on.set()
            assert writing_.result(30) == WRITTEN_AND
            relaying.result(30)
    assert both(screener, registry) == {"NSE:A": 3}


def test_a_relay_that_another_one_took_over_is_refused_though_a_writer_came_after(
    screener: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with opened(memberships) as sleeper:
        add(screener, "A")
        taker = open_pipe(memberships, insist=True)
        assert taker is not None
        with taker:
            assert put(memberships, "B") == WRITTEN_AND
            with pytest.raises(Superseded) as refused:
                sleeper.move()
            assert type(refused.value) is Superseded
            assert taker.move().keys == 1


def test_a_write_of_more_keys_than_a_moment_is_left_to_the_relay(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    found = memberships.write([record(f"S{number}") for number in range(1_001)])
    assert {outcomes(one) for one in found} == {(Outcome.WRITTEN, Outcome.PENDING)}
    assert why(found[0]) == "more than 1000 keys at once are left to the relay"
    worker.drain(memberships)
    found = memberships.write([record(f"S{number}", 2) for number in range(1_000)])
    assert {outcomes(one) for one in found} == {WRITTEN_AND}
    # Also the notes of many keys each.
    eventually(lambda: outbox.pending(memberships, Store.SCREENER).count == 0)
    worker.drain(memberships)
    assert len(both(screener, registry)) == 1_001


def test_another_tables_writer_in_the_way_is_waited_for_and_the_write_tried_again(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """An insert of the same key elsewhere, seen by nothing but the registry's unique index."""
    enabled(memberships)
    hand_over(memberships, Store.REGISTRY, TESTER)
    with at_work(lambda: put(memberships, "A", 2)) as writer, registry.transaction():
        registry.execute(
            "INSERT INTO index_memberships (instrument_key, index_id, weight, is_active)"
            " VALUES ('NSE:A', 'NIFTY 50', 1, true)"
        )
        with psycopg.connect(registry.info.dsn, password=registry.info.password, autocommit=True) as observer:
            if not writer.done():
                until_it_waits(observer, writer)
    assert writer.result(30) == WRITTEN_AND
    assert both(screener, registry) == {"NSE:A": 2}


def test_the_key_is_told_as_the_store_has_it(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    [written] = memberships.write([record('Ä\n"\\\u007f😀%s', 1, "50 % \t")])
    screener.execute("UPDATE index_memberships SET weight = 2")
    assert set(noted(screener)) == {written.key}
    assert column(screener, "SELECT index_name FROM index_memberships") == ["50 % \t"]
