"""A backfill is complete or says that it is not, whatever happens to the table and whoever else enables."""

from typing import Any

import pytest

from dualwrite import outbox, switch
from dualwrite.control.enable import enable
from dualwrite.exceptions import ConcurrentChange, Refused
from dualwrite.relay import worker
from dualwrite.relay.pipe import Moved
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.switch import locks
from tests.conftest import TESTER
from tests.support import add, at_work, enabled, fill, mirrored, noted, one, tampered, until_it_waits


@pytest.mark.parametrize("rewrite", ["VACUUM FULL index_memberships", "CLUSTER index_memberships USING {}"])
def test_a_table_rewritten_between_two_steps_is_noted_from_its_start_again(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, rewrite: str
) -> None:
    """Rows move into blocks that were noted already, without being written."""
    monkeypatch.setattr(outbox, "BLOCKS_A_STEP", 3)
    fill(screener, 5000)
    screener.execute("DELETE FROM index_memberships WHERE id <= 2500")
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    seen: list[int] = []

    def rewrite_once(done: int, total: int) -> None:
        if not seen:
            screener.execute(rewrite.format("index_memberships_exchange_symbol_index").encode())
        seen.append(done)

    outbox.note_all(memberships, Store.SCREENER, generation, rewrite_once)
    assert one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting") == 2500


def test_nobody_rewrites_the_table_while_a_step_reads_it(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(screener, 10)
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    looked = outbox._file

    def look_in_the_step(session: Session, *args: Any) -> int:
        found = looked(session, *args)
        if session.info.transaction_status.name == "INTRANS":
            held = "SELECT count(*) FROM pg_locks WHERE relation = 'index_memberships'::regclass AND pid = %s"
            steps.append(one(screener, held, session.info.backend_pid))
        return found

    steps: list[int] = []
    monkeypatch.setattr(outbox, "_file", look_in_the_step)
    outbox.note_all(memberships, Store.SCREENER, generation)
    assert steps == [1]


def test_keys_of_the_mirror_alone_are_noted_in_their_generation_only(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    tampered(registry, "INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:ONLY', 'HERE')")
    old, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    new, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    with pytest.raises(ConcurrentChange, match="another enable or disable came between"):
        outbox.note_all(memberships, Store.SCREENER, old)
    assert noted(screener) == []
    assert outbox.note_all(memberships, Store.SCREENER, new) == 1


def test_capture_begins_before_the_mirror_follows(
    stores: None, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        """Stands for the end of the process."""

    def killed(*args: object) -> None:
        raise Killed

    monkeypatch.setattr(switch, "follow", killed)
    with pytest.raises(Killed):
        enable(memberships, TESTER)
    assert switch.state(memberships, Store.SCREENER).capture
    assert switch.state(memberships, Store.REGISTRY).role is Role.DETACHED


def test_a_backfills_step_is_waited_for_with_patience(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the lock that keeps writers waiting is asked for in short tries."""
    monkeypatch.setattr(locks, "TRY", "1ms")
    first, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    step = {"stream": memberships.name, "generation": first}
    with dedicated(Store.SCREENER, "backfill") as backfill:
        backfill.execute("BEGIN")
        backfill.execute(statement("state", "still_generation"), step)
        with at_work(lambda: switch.begin_capture(memberships, Store.SCREENER, TESTER)) as begun:
            until_it_waits(screener, begun)
            backfill.execute("COMMIT")
            assert begun.result(20)[0] == first + 1


def test_a_backfills_step_that_does_not_end_is_answered_in_a_sentence(
    stores: None, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ROW_LOCK_TIMEOUT", "50ms")
    first, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    step = {"stream": memberships.name, "generation": first}
    with dedicated(Store.SCREENER, "backfill") as backfill, backfill.transaction():
        backfill.execute(statement("state", "still_generation"), step)
        with pytest.raises(Refused, match="somebody else holds its state in the screener store; try again"):
            switch.begin_capture(memberships, Store.SCREENER, TESTER)
    assert switch.state(memberships, Store.SCREENER).generation == first


@pytest.mark.parametrize("weight", ["1000000", "1e40", "Infinity", "-Infinity", "NaN"])
def test_a_number_that_the_registry_cannot_hold_does_not_keep_a_stream_from_being_enabled(
    screener: Session, registry: Session, memberships: Stream, weight: str
) -> None:
    add(screener, "A", weight=1)
    enabled(memberships)
    add(screener, "BAD", weight=weight)
    worker.drain(memberships)
    screener.execute("UPDATE dualwrite.stream_state SET backfilled = false")
    done = enable(memberships, TESTER)
    assert done.preview is not None
    assert (done.preview.add, done.preview.overwrite, done.preview.delete) == (1, 0, 0)
    assert worker.drain(memberships) == Moved(keys=2, parked=1)
    assert mirrored(registry) == {"NSE:A": 1}
