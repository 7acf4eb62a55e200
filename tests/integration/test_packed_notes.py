"""Notes that carry many keys are relayed whole, counted by their keys and deleted when all of them have arrived."""

from collections.abc import Iterator
from typing import Any

import pytest

from dualwrite import outbox, switch
from dualwrite.exceptions import Held
from dualwrite.models import ParkedKey
from dualwrite.relay import parking, worker
from dualwrite.relay.pipe import Moved
from dualwrite.relay.reader import Reader
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import add, column, enabled, fill, mirrored, noted, one, opened

ROWS = 2000


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, memberships: Stream) -> None:
    enabled(memberships)


def key(number: int) -> str:
    return f'["NSE:S{number}","X"]'


@pytest.fixture
def reader(screener: Session, memberships: Stream) -> Iterator[Reader]:
    """The authority's side of a relay by itself."""
    with dedicated(Store.SCREENER, "reader") as session:
        yield Reader(memberships, Store.SCREENER, session)


def waiting(screener: Session) -> list[tuple[int, int, int]]:
    """Lane, id and number of keys of every note, in the order in which a relay takes them."""
    query = "SELECT lane, id, 1 + coalesce(cardinality(others), 0) FROM dualwrite.outbox ORDER BY lane, id"
    return [(int(lane), int(number), int(keys)) for lane, number, keys in screener.execute(query).fetchall()]


def test_many_rows_written_at_once_arrive(screener: Session, registry: Session, memberships: Stream) -> None:
    fill(screener, ROWS)
    assert len(waiting(screener)) < ROWS / 5
    assert worker.drain(memberships) == Moved(keys=ROWS)
    assert set(mirrored(registry)) == {f"NSE:S{number}" for number in range(1, ROWS + 1)}
    assert waiting(screener) == []


@pytest.mark.parametrize("size", [1, 2, 31, 100, ROWS - 1, ROWS, ROWS + 64, 2 * ROWS])
def test_notes_are_taken_whole_oldest_first_until_they_carry_enough_keys(
    screener: Session, reader: Reader, memberships: Stream, size: int
) -> None:
    fill(screener, ROWS)
    add(screener, "LAST", "X")
    expected, carried = [], 0
    for note in waiting(screener):
        if carried >= size:
            break
        expected.append(note)
        carried += note[2]
    taken = reader.take([memberships.lane(p) for p in range(16)], size)
    assert taken.notes == carried
    assert taken.oldest_note == min(number for _, number, _ in expected)
    batch = "SELECT lane, id, count(*) FROM pg_temp.batch_index_memberships GROUP BY lane, id ORDER BY lane, id"
    assert reader._session.execute(batch).fetchall() == expected
    reader.done(None)
    left = waiting(screener)
    assert not set(left) & set(expected)
    assert taken.notes >= size or left == [], "fewer than asked for means that nothing more waits"


def test_lanes_are_taken_in_the_order_in_which_they_are_given(
    screener: Session, reader: Reader, memberships: Stream
) -> None:
    fill(screener, ROWS)
    reader.take([memberships.lane(9), memberships.lane(3)], 1)
    assert column(reader._session, "SELECT DISTINCT lane & 15 FROM pg_temp.batch_index_memberships") == [9]


@pytest.mark.parametrize("size", ["1", "7", "100"])
def test_batches_smaller_than_a_note_bring_everything_over(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", size)
    fill(screener, 300)
    screener.execute("UPDATE index_memberships SET index_name = 'Y' WHERE id % 3 = 0")
    worker.drain(memberships)
    assert sorted(mirrored(registry)) == sorted(f"NSE:S{number}" for number in range(1, 301))
    assert one(registry, "SELECT count(*) FROM index_memberships WHERE index_id = 'Y'") == 100
    assert waiting(screener) == []


def test_a_relay_that_dies_after_applying_leaves_every_note_whole(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, ROWS)
    before = waiting(screener)

    class Died(Exception):
        """Stands for the end of the process."""

    def die(*args: object) -> int:
        raise Died

    with opened(memberships) as pipe, monkeypatch.context() as patch:
        patch.setattr(parking, "settle", die)
        with pytest.raises(Died):
            pipe.move()
    assert waiting(screener) == before
    assert worker.drain(memberships).keys == ROWS
    assert waiting(screener) == []


def test_a_key_written_again_while_its_note_is_relayed_stays_noted(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, ROWS)
    settle = parking.settle
    again = [key(number) for number in range(500, 1500)]

    def write_again(*args: Any) -> int:
        screener.execute("UPDATE index_memberships SET weight = 2 WHERE id >= 500 AND id < 1500")
        return int(settle(*args))

    with opened(memberships) as pipe:
        monkeypatch.setattr(parking, "settle", write_again)
        pipe.move()
        monkeypatch.undo()
    assert set(noted(screener)) == set(again), "notes of before have gone, those that came meanwhile have not"
    assert worker.drain(memberships).keys == len(again)
    assert one(registry, "SELECT count(*) FROM index_memberships WHERE weight = 2") == len(again)


def test_keys_that_cannot_be_stored_are_parked_out_of_the_midst_of_their_notes(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name, weight)"
        " SELECT CASE WHEN g % 100 = 1 THEN NULL ELSE 'S' || g - g % 100 / 99 END, 'NSE', 'X',"
        "        CASE g % 100 WHEN 50 THEN 101 ELSE 1 END"
        "   FROM generate_series(1, 1000) AS g"
    )
    moved = worker.drain(memberships)
    # Of each hundred: one has no symbol (one key for all), one weighs too much, two share their key.
    assert moved == Moved(keys=1 + 980, parked=1 + 10 + 10)
    assert len(mirrored(registry)) == 1000 - 10 - 10 - 20
    assert waiting(screener) == []
    screener.execute("UPDATE index_memberships SET weight = 2 WHERE weight = 101")
    worker.drain(memberships)
    assert ParkedKey.objects.count() == 11
    assert len(mirrored(registry)) == 970


def test_a_held_flood_of_deletes_leaves_its_notes(screener: Session, registry: Session, memberships: Stream) -> None:
    fill(screener, ROWS)
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships")
    before = waiting(screener)
    with pytest.raises(Held):
        worker.drain(memberships)
    assert waiting(screener) == before
    assert len(mirrored(registry)) == ROWS


def test_what_waits_is_counted_by_keys(screener: Session, memberships: Stream) -> None:
    assert outbox.pending(memberships, Store.SCREENER) == outbox.Pending(0, False, 0)
    fill(screener, ROWS)
    found = outbox.pending(memberships, Store.SCREENER)
    assert (found.count, found.is_estimate) == (len(noted(screener)), False)
    assert found.count == ROWS + 64, "of a large statement 64 are noted twice"


def test_the_estimate_counts_keys_as_well(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, ROWS)
    screener.execute("DELETE FROM dualwrite.outbox WHERE others IS NULL")
    screener.execute("ANALYZE dualwrite.outbox")
    monkeypatch.setattr(outbox, "EXACT_UP_TO", 10)
    found = outbox.pending(memberships, Store.SCREENER)
    assert found.is_estimate
    assert ROWS / 2 < found.count < ROWS * 2


def test_keys_inside_a_note_are_found_to_be_waiting(screener: Session, memberships: Stream) -> None:
    fill(screener, ROWS)
    asked = [key(1), key(1234), key(ROWS), key(ROWS + 1)]
    assert outbox.pending_of(memberships, Store.SCREENER, asked) == set(asked[:3])


def test_a_backfill_packs_its_notes_and_counts_its_keys(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, ROWS)
    worker.drain(memberships)
    screener.execute("UPDATE dualwrite.stream_state SET capture = false")
    screener.execute("DELETE FROM index_memberships WHERE id <= 500")
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    assert outbox.note_all(memberships, Store.SCREENER, generation) == ROWS, "500 of them only the mirror has"
    assert sorted(noted(screener)) == sorted(key(number) for number in range(1, ROWS + 1))
    assert len(waiting(screener)) < ROWS / 5
    assert set(column(screener, "SELECT DISTINCT cause::text FROM dualwrite.outbox")) == {"b"}
