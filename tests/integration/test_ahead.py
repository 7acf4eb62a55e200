"""One batch is read while the one before is applied; what was read ahead is never more than that."""

import threading
from collections.abc import Iterator

import pytest

from dualwrite.control.pause import pause, resume
from dualwrite.models import ParkedKey
from dualwrite.relay import ahead, worker
from dualwrite.relay.inline import open_inline
from dualwrite.relay.pipe import Moved, Pipe
from dualwrite.relay.reader import Reader
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import add, column, enabled, mirrored, noted, one, opened


@pytest.fixture
def pipe(screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """A pipe whose batches have ten keys; sixty wait."""
    enabled(memberships)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "10")
    for number in range(60):
        add(screener, f"S{number}", weight=1)
    with opened(memberships) as found:
        yield found


def whole(pipe: Pipe) -> int:
    keys = 0
    while moved := pipe.move().keys:
        keys += moved
    return keys


def test_every_key_arrives_once_and_no_note_is_left(pipe: Pipe, screener: Session, registry: Session) -> None:
    assert whole(pipe) == 60
    assert len(mirrored(registry)) == 60
    assert noted(screener) == []


def test_the_next_batch_is_read_while_one_is_applied(
    pipe: Pipe, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe.move()  # the first one is read as it is applied; with it the second one is read ahead
    read, apply = threading.Event(), pipe._applier.apply
    begin = ahead._read

    def reading(*given: object) -> object:
        found = begin(*given)  # type: ignore[arg-type]
        read.set()
        return found

    def applying(*given: object) -> object:
        assert read.wait(20), "the next batch was not read meanwhile"
        return apply(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "_read", reading)
    monkeypatch.setattr(pipe._applier, "apply", applying)
    assert pipe.move() == Moved(keys=10)
    assert len(mirrored(registry)) == 20, "only one more was applied"


def test_what_was_read_before_a_writer_mirrored_is_not_applied_after_it(
    pipe: Pipe, screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches were read; a writer writes and mirrors keys of both, the fences are taken anew for the first one."""
    pipe.move()
    read, begin, apply = threading.Event(), ahead._read, pipe._applier.apply

    def reading(*given: object) -> object:
        found = begin(*given)  # type: ignore[arg-type]
        read.set()
        return found

    def applying(*given: object) -> object:
        assert read.wait(20)
        monkeypatch.undo()
        screener.execute("UPDATE index_memberships SET weight = 2")
        inline = open_inline(memberships, seconds=5)
        assert inline is not None
        with inline:
            inline.mirror(column(screener, "SELECT DISTINCT key FROM dualwrite.waiting"))
            inline.finish()
        return apply(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead, "_read", reading)
    monkeypatch.setattr(pipe._applier, "apply", applying)
    pipe.move()
    whole(pipe)
    assert set(mirrored(registry).values()) == {2}


def test_notes_of_a_batch_that_was_only_read_stay(pipe: Pipe, screener: Session, memberships: Stream) -> None:
    pipe.move()
    pipe.close()
    assert len(set(noted(screener))) >= 50
    assert worker.drain(memberships).keys >= 50
    assert noted(screener) == []


def test_a_key_changed_while_its_batch_lies_read_is_applied_again(
    pipe: Pipe, screener: Session, registry: Session
) -> None:
    pipe.move()
    screener.execute("UPDATE index_memberships SET weight = 2")
    assert whole(pipe) >= 60
    assert set(mirrored(registry).values()) == {2}


def test_what_was_read_before_a_pause_is_not_applied_after_it(
    pipe: Pipe, screener: Session, registry: Session, memberships: Stream
) -> None:
    pipe.move()
    before = mirrored(registry)
    pause(memberships, TESTER)
    assert pipe.move().still
    screener.execute("UPDATE index_memberships SET weight = 2")
    resume(memberships, TESTER)
    pipe.move()
    assert {weight for key, weight in mirrored(registry).items() if key not in before} <= {2}
    whole(pipe)
    assert set(mirrored(registry).values()) == {2}


def test_a_note_that_commits_late_within_the_span_of_a_batch_is_not_lost(
    pipe: Pipe, screener: Session, registry: Session
) -> None:
    """Its number lies between those of the batch in hand, as its transaction drew it early and committed late."""
    lane, number = one(screener, "SELECT ARRAY[lane, id] FROM dualwrite.outbox ORDER BY lane, id LIMIT 1")
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol = 'S0'")
    assert whole(pipe) >= 60
    screener.execute(
        'INSERT INTO dualwrite.outbox (lane, id, key) OVERRIDING SYSTEM VALUE SELECT %s, %s, \'["NSE:S0","NIFTY 50"]\'',
        (lane, number),
    )
    assert whole(pipe) == 1
    assert noted(screener) == []
    assert mirrored(registry)["NSE:S0"] == 3


def test_a_record_that_cannot_be_stored_is_parked_out_of_a_batch_that_was_read_ahead(
    pipe: Pipe, screener: Session, registry: Session
) -> None:
    for number in range(60, 75):
        add(screener, f"S{number}", weight=101 if number == 66 else 1)
    whole(pipe)
    assert len(mirrored(registry)) == 74
    assert ParkedKey.objects.get().key == '["NSE:S66","NIFTY 50"]'
    assert noted(screener) == []


def test_large_records_are_not_kept_but_read_when_they_are_applied(
    pipe: Pipe, screener: Session, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MOST_BYTES", 100)
    assert whole(pipe) == 60
    assert len(mirrored(registry)) == 60
    assert noted(screener) == []


def test_a_failure_while_reading_ahead_is_raised_and_loses_nothing(
    pipe: Pipe, screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> object:
        raise MemoryError("no room")

    monkeypatch.setattr(ahead, "_read", fail)
    pipe.move()
    with pytest.raises(MemoryError):
        pipe.move()
    monkeypatch.undo()
    pipe.close()
    worker.drain(memberships)
    assert len(mirrored(registry)) == 60
    assert noted(screener) == []


def test_a_reader_gives_its_session_to_one_thread_at_a_time(pipe: Pipe) -> None:
    first, second = pipe._ahead.reader, pipe._new_reader("other")
    assert isinstance(first, Reader)
    assert first.using is second.using
