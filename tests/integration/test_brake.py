"""A flood of deletes stops the stream until an operator has looked."""

import pytest

from dualwrite.control.advance import advance
from dualwrite.control.enable import enable
from dualwrite.control.pause import pause, resume
from dualwrite.control.status import stream_status
from dualwrite.exceptions import Held, Refused, UsageError
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor
from tests.conftest import TESTER
from tests.support import enabled, fill, mirrored, one


@pytest.fixture
def held(screener: Session, memberships: Stream) -> None:
    """200 rows mirrored, 100 deleted: the stream is held."""
    enabled(memberships)
    fill(screener, 200)
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships WHERE id % 2 = 0")
    with pytest.raises(Held):
        worker.drain(memberships)


def test_a_held_stream_says_why_and_what_to_do(held: None, memberships: Stream) -> None:
    row = stream_status(memberships)
    assert row["mirroring"] == "paused"
    gate = next(g for g in row["blocked_by"] if g["gate"] == "brake")
    assert "would delete more than 50 rows" in gate["why"]
    assert gate["mend"] == "manage.py dualwrite resume --stream index_memberships --force --reason WHY"


def test_it_goes_on_only_when_forced_with_a_reason(held: None, registry: Session, memberships: Stream) -> None:
    with pytest.raises(Held, match="go on with --force and --reason"):
        resume(memberships, TESTER)
    with pytest.raises(UsageError, match="force needs a reason"):
        resume(memberships, Actor("test"), force=True)
    assert len(mirrored(registry)) == 200
    assert resume(memberships, TESTER, force=True)
    worker.drain(memberships)
    assert len(mirrored(registry)) == 100
    assert one(registry, "SELECT evidence->>'held_because' FROM dualwrite.audit WHERE verb = 'resume'")


def test_a_confirmation_serves_once(held: None, screener: Session, registry: Session, memberships: Stream) -> None:
    resume(memberships, TESTER, force=True)
    worker.drain(memberships)
    worker.drain(memberships)  # sees the empty outbox
    screener.execute("DELETE FROM index_memberships")
    with pytest.raises(Held):
        worker.drain(memberships)
    assert len(mirrored(registry)) == 100


def test_deletes_in_small_batches_add_up(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "20")
    enabled(memberships)
    fill(screener, 200)
    worker.drain(memberships)
    screener.execute("DELETE FROM index_memberships WHERE id % 2 = 0")
    with pytest.raises(Held):
        worker.drain(memberships)
    assert 150 <= len(mirrored(registry)) < 200


def test_small_deletes_between_which_the_relay_is_idle_add_up_within_the_window(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    fill(screener, 200)
    worker.drain(memberships)
    for remainder in range(3):
        screener.execute("DELETE FROM index_memberships WHERE id %% 10 = %s", (remainder,))
        if remainder < 2:
            worker.drain(memberships)
    with pytest.raises(Held):
        worker.drain(memberships)
    assert len(mirrored(registry)) == 160


def test_deletes_at_a_pace_that_the_window_allows_never_hold(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    fill(screener, 200)
    worker.drain(memberships)
    for remainder in range(5):
        screener.execute("DELETE FROM index_memberships WHERE id %% 10 = %s", (remainder,))
        worker.drain(memberships)
        registry.execute("UPDATE dualwrite_stream SET brake_since = brake_since - interval '61 s'")
    assert len(mirrored(registry)) == 100


def test_enabling_says_what_it_would_delete_and_needs_force(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    with registry.transaction():
        registry.execute("UPDATE dualwrite.stream_state SET role = 'mirror'")
        registry.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
        registry.execute(
            "INSERT INTO index_memberships (instrument_key, index_id)"
            " SELECT 'NSE:OLD' || g, 'X' FROM generate_series(1, 60) g"
        )
    fill(screener, 200)
    with pytest.raises(Refused, match="the mirror gets 200, 0 of its rows are overwritten, 60 deleted; more than 50"):
        enable(memberships, TESTER)
    assert stream_status(memberships)["stage"] == "off"
    asked = (
        "60 rows of the mirror would be deleted, more than 50: is it the right store? It needs force and a reason.",
    )
    assert enable(memberships, TESTER, dry_run=True).blocked == asked
    assert advance(memberships, TESTER, dry_run=True).blocked == asked
    assert enable(memberships, TESTER, dry_run=True, force=True).blocked == ()
    with pytest.raises(UsageError, match="force needs a reason"):
        enable(memberships, Actor("test"), force=True)
    enable(memberships, TESTER, force=True)
    worker.drain(memberships)
    assert len(mirrored(registry)) == 200


def test_a_paused_stream_notes_and_loses_nothing(screener: Session, registry: Session, memberships: Stream) -> None:
    enabled(memberships)
    assert pause(memberships, TESTER)
    assert not pause(memberships, TESTER), "a second pause changes nothing"
    fill(screener, 200)
    with pytest.raises(Held, match="paused by an operator"):
        worker.drain(memberships)
    assert mirrored(registry) == {}
    assert resume(memberships, TESTER)
    worker.drain(memberships)
    assert len(mirrored(registry)) == 200


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_stream_never_enabled_cannot_be_paused(stores: None, memberships: Stream, dry_run: bool) -> None:
    with pytest.raises(Refused, match="was never enabled, so there is nothing to pause"):
        pause(memberships, TESTER, dry_run=dry_run)
    with pytest.raises(Refused, match="was never enabled, so there is nothing to resume"):
        resume(memberships, TESTER, dry_run=dry_run)


def test_a_dry_run_of_pausing_or_resuming_says_whether_it_would_change_anything_and_changes_nothing(
    registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    paused = "SELECT paused FROM dualwrite_stream"
    assert pause(memberships, TESTER, dry_run=True)
    assert not resume(memberships, TESTER, dry_run=True)
    assert not one(registry, paused)
    pause(memberships, TESTER)
    assert not pause(memberships, TESTER, dry_run=True)
    assert resume(memberships, TESTER, dry_run=True)
    assert one(registry, paused)
