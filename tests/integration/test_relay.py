"""The relay makes the mirror equal to the authority, in whatever order things happen and whoever dies."""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections

from dualwrite.exceptions import Held, Superseded
from dualwrite.models import ParkedKey
from dualwrite.relay import parking, worker
from dualwrite.relay.pipe import Moved, Pipe, open_pipe
from dualwrite.relay.reader import Reader
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.support import add, column, enabled, fill, mirrored, noted, one

KEY_A = '["NSE:A","NIFTY 50"]'


def opened(stream: Stream) -> Pipe:
    pipe = open_pipe(stream)
    assert pipe is not None
    return pipe


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def test_insert_update_and_delete_arrive(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A", weight="1.5", sector="", effective_date="2024-02-29")
    add(screener, "B", weight="2")
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": Decimal("1.5"), "NSE:B": Decimal(2)}
    row = registry.execute("SELECT sector, date_added::text FROM index_memberships ORDER BY 1 NULLS LAST").fetchone()
    assert row == ("", "2024-02-29"), "an empty text stays empty and does not become NULL"
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol = 'A'")
    screener.execute("DELETE FROM index_memberships WHERE symbol = 'B'")
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": Decimal(3)}
    assert noted(screener) == []


def test_a_key_written_often_is_applied_once(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A")
    for weight in range(20):
        screener.execute("UPDATE index_memberships SET weight = %s", (weight,))
    with opened(memberships) as pipe:
        assert pipe.move() == Moved(keys=1)
    assert mirrored(registry) == {"NSE:A": Decimal(19)}


def test_a_row_that_is_equal_already_is_not_written(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A", weight="1.50")
    worker.drain(memberships)
    version = one(registry, "SELECT xmin::text FROM index_memberships")
    screener.execute("UPDATE index_memberships SET weight = 1.5")
    assert worker.drain(memberships).keys == 1
    assert one(registry, "SELECT xmin::text FROM index_memberships") == version


def test_a_changed_key_moves_the_record(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A")
    worker.drain(memberships)
    screener.execute("UPDATE index_memberships SET symbol = 'Z'")
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:Z": None}


def test_an_inactive_row_of_the_mirror_is_made_active(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with registry.transaction():
        registry.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
        registry.execute(
            "INSERT INTO index_memberships (instrument_key, index_id, is_active) VALUES ('NSE:A', 'NIFTY 50', false)"
        )
    add(screener, "A")
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": None}
    assert one(registry, "SELECT count(*) FROM index_memberships") == 1


def test_a_note_that_arrives_while_its_key_is_relayed_is_not_lost(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the record and deleting the notes the key is written again: only ids that were read may go."""
    add(screener, "A", weight="1")
    settle = parking.settle

    def write_again(*args: Any) -> int:
        screener.execute("UPDATE index_memberships SET weight = 2")
        return int(settle(*args))

    with opened(memberships) as pipe:
        monkeypatch.setattr(parking, "settle", write_again)
        pipe.move()
        monkeypatch.undo()
        assert mirrored(registry) == {"NSE:A": Decimal(1)}
        assert noted(screener) == [KEY_A]
        pipe.move()
    assert mirrored(registry) == {"NSE:A": Decimal(2)}


def test_notes_outlive_a_relay_that_dies_after_applying(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "A", weight="1")

    class Died(Exception):
        """Stands for the end of the process."""

    def die(*args: object) -> int:
        raise Died

    with opened(memberships) as pipe, monkeypatch.context() as patch:
        patch.setattr(parking, "settle", die)
        with pytest.raises(Died):
            pipe.move()
    assert mirrored(registry) == {"NSE:A": Decimal(1)}
    assert noted(screener) == [KEY_A]
    assert worker.drain(memberships).keys == 1
    assert noted(screener) == []


def test_a_relay_that_slept_through_a_takeover_is_refused(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read an old record; while it slept another relay took over and applied a newer one."""
    add(screener, "A", weight="1")
    read = Reader.read
    zombie = opened(memberships)

    def sleep_after_reading(self: Reader, low: int, high: int) -> object:
        context = read(self, low, high)
        blocks = context.__enter__()
        old = [bytes(block) for block in blocks]
        context.__exit__(None, None, None)
        monkeypatch.undo()
        screener.execute("UPDATE index_memberships SET weight = 2")
        screener.execute("SELECT pg_terminate_backend(%s)", (zombie._presence._session.info.backend_pid,))
        worker.drain(memberships)

        return nullcontext(old)

    monkeypatch.setattr(Reader, "read", sleep_after_reading)
    with zombie, pytest.raises(Superseded, match="the fence was raised"):
        zombie.move()
    assert mirrored(registry) == {"NSE:A": Decimal(2)}


def test_a_store_that_has_become_the_authority_is_not_written(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A")
    with opened(memberships) as pipe:
        registry.execute("UPDATE dualwrite.stream_state SET role = 'authority' WHERE stream = 'index_memberships'")
        with pytest.raises(Superseded, match="the registry store is no mirror"):
            pipe.move()
    assert mirrored(registry) == {}
    assert noted(screener) == [KEY_A], "what was refused stays noted"


def test_two_relays_do_not_work_on_the_same_partition(stores: None, memberships: Stream) -> None:
    with opened(memberships) as first:
        assert len(first.partitions) == 16
        with opened(memberships) as second:
            assert second.partitions == [], "it stands by, so that the first one sees it and gives it its share"
            assert second.move() == Moved()
    with opened(memberships) as third:
        assert len(third.partitions) == 16, "the first one's partitions are free when it is gone"


def test_partitions_of_a_relay_that_has_gone_are_taken_over_by_one_that_runs(stores: None, memberships: Stream) -> None:
    with dedicated(Store.SCREENER, "test other relay") as other:
        for partition in (3, 5):
            other.execute("SELECT pg_advisory_lock(25720, hashtext(%s))", (f"index_memberships/{partition}",))
        pipe = opened(memberships)
        assert sorted(pipe.partitions) == sorted(set(range(16)) - {3, 5})
    with pipe:
        assert pipe.check()
        assert sorted(pipe.partitions) == list(range(16))


def test_one_record_that_cannot_be_stored_is_parked_and_all_others_arrive(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    for number in range(200):
        add(screener, f"S{number}")
    add(screener, "BAD", weight="101")
    moved = worker.drain(memberships)
    assert moved == Moved(keys=201, parked=1)
    assert len(mirrored(registry)) == 200
    parked = ParkedKey.objects.get()
    assert parked.key == '["NSE:BAD","NIFTY 50"]'
    assert "index_memberships_weight_range" in parked.error
    assert [row["weight"] for row in parked.record or []] == ["101"]
    assert noted(screener) == []


def test_a_parked_key_that_is_mended_arrives_and_is_no_longer_parked(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "BAD", weight="101")
    worker.drain(memberships)
    screener.execute("UPDATE index_memberships SET weight = 10")
    assert worker.drain(memberships) == Moved(keys=1)
    assert mirrored(registry) == {"NSE:BAD": Decimal(10)}
    assert not ParkedKey.objects.exists()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ({"symbol": None}, "a part of the key is NULL"),
        ({"symbol": "A", "index": None}, "a part of the key is NULL"),
        ({"symbol": "A", "exchange": None}, "a part of the key is NULL"),
        ({"symbol": "B", "exchange": "A:"}, "a part of the key is NULL"),
        ({"symbol": "A", "exchange": "nse"}, "index_memberships_instrument_key_format"),
        ({"symbol": " A"}, "index_memberships_instrument_key_format"),
        ({"symbol": "A", "weight": "1e300"}, "numeric field overflow"),
        ({"symbol": "A", "weight": "-1"}, "index_memberships_weight_range"),
        ({"symbol": "A", "weight": "NaN"}, "index_memberships_weight_range"),
        ({"symbol": "A", "effective_date": "infinity"}, "index_memberships_date_added_range"),
    ],
)
def test_a_row_that_means_nothing_to_the_registry_is_parked_with_its_reason(
    screener: Session, registry: Session, memberships: Stream, first: dict[str, str], reason: str
) -> None:
    add(screener, **first)
    add(screener, "GOOD")
    assert worker.drain(memberships) == Moved(keys=2, parked=1)
    assert reason in ParkedKey.objects.get().error
    assert mirrored(registry) == {"NSE:GOOD": None}
    screener.execute("DELETE FROM index_memberships WHERE symbol IS DISTINCT FROM 'GOOD'")
    worker.drain(memberships)
    assert not ParkedKey.objects.exists(), "with its row gone there is nothing left to park"


def test_a_key_of_two_rows_is_parked_until_one_is_left(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "A", weight="1")
    worker.drain(memberships)
    add(screener, "A", weight="2")
    assert worker.drain(memberships) == Moved(keys=1, parked=1)
    assert mirrored(registry) == {"NSE:A": Decimal(1)}, "the mirror keeps what it had"
    assert sorted(row["weight"] for row in ParkedKey.objects.get().record or []) == ["1", "2"]
    screener.execute("DELETE FROM index_memberships WHERE weight = 1")
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": Decimal(2)}
    assert not ParkedKey.objects.exists()


def test_a_busy_partition_does_not_keep_the_others_waiting(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "1")
    for number in range(64):
        add(screener, f"S{number}")
    partitions = column(screener, "SELECT DISTINCT partition FROM dualwrite.waiting")
    with opened(memberships) as pipe:
        for _ in range(16):
            pipe.move()
    total = dict.fromkeys(partitions, 0)
    for key in mirrored(registry):
        partition = one(screener, "SELECT hashtextextended(%s, 0) & 15", f'["{key}","NIFTY 50"]')
        total[partition] += 1
    assert all(count >= 1 for count in total.values()), total


def test_truncate_of_the_old_table_is_braked_as_a_mass_delete(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    fill(screener, 600)
    worker.drain(memberships)
    screener.execute("TRUNCATE index_memberships")
    assert one(screener, "SELECT count(*) FROM dualwrite.waiting") == 600
    with pytest.raises(Held, match="would delete more than 60 rows of the mirror"):
        worker.drain(memberships)
    assert len(mirrored(registry)) == 600


def test_a_relay_whose_connections_are_cut_goes_on(screener: Session, registry: Session, memberships: Stream) -> None:
    stop = threading.Event()

    def run() -> None:
        worker.run([memberships], stop)
        connections.close_all()

    relay = threading.Thread(target=run)
    relay.start()
    try:
        add(screener, "A")
        _until(lambda: mirrored(registry) == {"NSE:A": None})
        for session in (screener, registry):
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            session.execute(cut + " AND application_name NOT LIKE 'dualwrite test' AND pid <> pg_backend_pid()")
        add(screener, "B")
        _until(lambda: mirrored(registry) == {"NSE:A": None, "NSE:B": None})
    finally:
        stop.set()
        relay.join(10)
    assert not relay.is_alive()


def _until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(400):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("not within 20 s")
