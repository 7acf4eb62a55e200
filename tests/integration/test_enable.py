"""Enabling backfills both stores' keys and survives being killed, repeated and raced."""

from decimal import Decimal

import pytest

from dualwrite import outbox, switch
from dualwrite.control.enable import enable
from dualwrite.control.status import stream_status
from dualwrite.exceptions import CaptureBroken, ConcurrentChange, Refused
from dualwrite.models import StreamControl
from dualwrite.relay import worker
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.support import add, enabled, fill, mirrored, noted, one


def test_rows_from_before_arrive(screener: Session, registry: Session, memberships: Stream) -> None:
    add(screener, "A", weight="1")
    done = enable(memberships, TESTER)
    assert (done.noted, done.changed) == (1, True)
    assert done.preview is not None
    assert (done.preview.add, done.preview.overwrite, done.preview.delete) == (1, 0, 0)
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": Decimal(1)}
    assert StreamControl.objects.get().stage == "dualwrite"
    assert switch.state(memberships, Store.REGISTRY).role is Role.MIRROR


def test_enabling_again_changes_nothing(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    before = switch.state(memberships, Store.SCREENER)
    assert not enable(memberships, TESTER).changed
    assert switch.state(memberships, Store.SCREENER) == before
    assert noted(screener) == []


def test_a_delete_made_while_nothing_was_captured_is_found(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    """The key is in the mirror only, so the backfill must take the mirror's keys as well."""
    add(screener, "A")
    add(screener, "B")
    enabled(memberships)
    screener.execute(
        "UPDATE dualwrite.stream_state SET capture = false, backfilled = false, generation = generation + 1"
    )
    screener.execute("DELETE FROM index_memberships WHERE symbol = 'A'")
    enabled(memberships)
    assert mirrored(registry) == {"NSE:B": None}


def test_the_parameter_forbids_enabling_and_is_named(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", "false")
    with pytest.raises(Refused, match="INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED is false"):
        enable(memberships, TESTER)
    assert not switch.state(memberships, Store.SCREENER).capture


def test_with_broken_triggers_nothing_is_enabled(registry: Session, memberships: Stream) -> None:
    registry.execute("DROP TRIGGER dualwrite_a_guard ON index_memberships")
    with pytest.raises(CaptureBroken, match=r"stream index_memberships in registry .*dualwrite_a_guard is missing"):
        enable(memberships, TESTER)
    assert not switch.state(memberships, Store.SCREENER).capture


def test_a_dry_run_says_what_would_happen_and_does_nothing(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    done = enable(memberships, TESTER, dry_run=True)
    assert done.preview is not None
    assert done.preview.add == 1
    assert not switch.state(memberships, Store.SCREENER).capture
    assert not StreamControl.objects.exists()


def test_killed_in_the_backfill_it_is_shown_as_half_done_and_finished_by_enabling_again(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "A")

    class Killed(Exception):
        """Stands for the end of the process."""

    def killed(*args: object) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_note_blocks", killed)
        with pytest.raises(Killed):
            enable(memberships, TESTER)
    row = stream_status(memberships)
    assert row["transition"] is not None
    assert "the backfill is not complete" in row["transition"]
    assert not row["verified"]
    enabled(memberships)
    assert mirrored(registry) == {"NSE:A": None}
    assert stream_status(memberships)["transition"] is None


def test_killed_before_the_stage_is_recorded_enabling_again_records_it(stores: None, memberships: Stream) -> None:
    enabled(memberships)
    StreamControl.objects.update(stage="off")
    assert "the stage is not recorded" in stream_status(memberships)["transition"]
    enable(memberships, TESTER)
    assert StreamControl.objects.get().stage == "dualwrite"


def test_a_backfill_of_an_older_generation_cannot_go_on_or_declare_itself_complete(
    screener: Session, memberships: Stream
) -> None:
    add(screener, "A")
    old, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    switch.begin_capture(memberships, Store.SCREENER, TESTER)
    with pytest.raises(ConcurrentChange, match="another enable or disable came between"):
        outbox.note_all(memberships, Store.SCREENER, old)
    with pytest.raises(ConcurrentChange, match="belongs to an older generation"):
        switch.mark_backfilled(memberships, Store.SCREENER, old, TESTER)
    assert not switch.state(memberships, Store.SCREENER).backfilled


def test_enabling_refuses_every_relay_that_worked_before(registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    before = one(registry, "SELECT sum(epoch) FROM dualwrite.relay_fence WHERE stream = 'index_memberships'")
    switch.follow(memberships, Store.REGISTRY, 0, TESTER)
    after = one(registry, "SELECT sum(epoch) FROM dualwrite.relay_fence WHERE stream = 'index_memberships'")
    assert after - before == 64, "each of the partitions there can be"


def test_a_backfill_in_several_steps_notes_every_row_once(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BLOCKS_A_STEP", 3)
    fill(screener, 5000)
    seen: list[tuple[int, int]] = []
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    assert (
        outbox.note_all(memberships, Store.SCREENER, generation, lambda done, total: seen.append((done, total))) == 5000
    )
    assert one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting") == 5000
    assert len(seen) > 3
    assert seen[-1][0] == seen[-1][1]


def test_the_stores_remember_each_other(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    query = "SELECT identity, peer_identity FROM dualwrite.store_identity"
    mine, peer = screener.execute(query).fetchone() or (None, None)
    assert registry.execute(query).fetchone() == (peer, mine)
