"""While somebody holds an old snapshot, deleted notes cannot be removed; the relay does not read its way past them."""

import json

import pytest
from psycopg import sql

from dualwrite.relay import worker
from dualwrite.relay.pipe import Pipe
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from tests.integration.moving import eventually
from tests.support import enabled, fill, mirrored, one, opened

ROWS, ROUNDS = 2_000, 12


@pytest.fixture(autouse=True)
def enabled_stream(stores: None, screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    fill(screener, ROWS)
    worker.drain(memberships)


def pages_read(pipe: Pipe) -> int:
    """Pages that taking the next batch reads of the outbox and its index, asked as the relay asks."""
    lanes = pipe._lanes()
    take = compose(
        "relay",
        "take",
        batch=sql.Identifier("pg_temp", "batch_index_memberships"),
        key_parts=sql.SQL("NULL::text, NULL::text"),
        lanes=sql.Literal(lanes),
        low=sql.Literal([None] * len(lanes)),
        high=sql.Literal([None] * len(lanes)),
        above=sql.Literal(pipe._horizon.above),
        size=sql.Literal(10),
    )
    with pipe._using, pipe._source.transaction(force_rollback=True):
        query = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}").format(take)
        row = pipe._source.execute(query).fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return int(plan[0]["Plan"]["Shared Hit Blocks"]) + int(plan[0]["Plan"]["Shared Read Blocks"])


def a_round(screener: Session, pipe: Pipe, weight: int) -> int:
    """Every row is written and relayed; returns what the next look at the outbox reads."""
    screener.execute("UPDATE index_memberships SET weight = %s", (weight,))
    while pipe.move().keys:
        pass

    def looked() -> bool:
        assert pipe.check()
        newest = one(screener, "SELECT pg_sequence_last_value('dualwrite.outbox_id_seq')")
        return pipe._horizon.above >= int(newest)

    eventually(looked, seconds=20)
    return pages_read(pipe)


def test_with_a_snapshot_held_a_batch_reads_no_more_from_round_to_round(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with dedicated(Store.SCREENER, "dump") as dump, opened(memberships) as pipe:
        dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        dump.execute("SELECT 1")
        read = [a_round(screener, pipe, number) for number in range(1, ROUNDS)]
        assert max(read[-3:]) <= max(read[:3]) + 2 * len(pipe._lanes()), read
        pipe._horizon.above = 0
        assert pages_read(pipe) > 3 * max(read[-3:]), "without it, every batch would read all that was deleted"
    assert set(mirrored(registry).values()) == {ROUNDS - 1}


def test_the_space_of_deleted_notes_is_used_again_once_the_snapshot_has_gone(
    screener: Session, memberships: Stream
) -> None:
    size = "SELECT pg_total_relation_size('dualwrite.outbox')"
    with opened(memberships) as pipe:
        with dedicated(Store.SCREENER, "dump") as dump:
            dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            dump.execute("SELECT 1")
            for number in range(1, ROUNDS):
                a_round(screener, pipe, number)
        grown = one(screener, size)
        for number in range(1, ROUNDS):
            # What autovacuum does after 5,000 dead notes, at once.
            screener.execute("VACUUM (ANALYZE) dualwrite.outbox")
            a_round(screener, pipe, -number + 50)
        assert one(screener, size) <= grown


def test_a_transaction_that_drew_its_number_early_and_commits_late_is_relayed(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with dedicated(Store.SCREENER, "slow writer") as slow, opened(memberships) as pipe:
        slow.execute("BEGIN")
        slow.execute("UPDATE index_memberships SET weight = 77 WHERE symbol = 'S1'")
        for number in range(1, 4):
            screener.execute("UPDATE index_memberships SET weight = %s WHERE symbol <> 'S1'", (number,))
            while pipe.move().keys:
                pass
            assert pipe.check()
        slow.execute("COMMIT")
        while pipe.move().keys:
            pass
    assert mirrored(registry)["NSE:S1"] == 77
    assert one(screener, "SELECT count(*) FROM dualwrite.outbox") == 0
