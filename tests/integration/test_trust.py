"""What was proven counts only as long as nothing can have gone unnoted since, and only between the same two stores."""

import pytest

from dualwrite import capture, outbox, switch
from dualwrite.control.enable import enable
from dualwrite.control.status import stream_status
from dualwrite.control.uninstall import uninstall
from dualwrite.exceptions import CaptureBroken, ConcurrentChange, Superseded, WrongStore
from dualwrite.models import ValidationRun
from dualwrite.relay import worker
from dualwrite.relay.pipe import open_pipe
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.support import add, enabled, mirrored, one, opened

OFF = "ALTER TABLE index_memberships DISABLE TRIGGER ALL"
ON = "ALTER TABLE index_memberships ENABLE TRIGGER ALL"
ON_AS_INSTALLED = "ALTER TABLE index_memberships " + ", ".join(
    f"ENABLE ALWAYS TRIGGER dualwrite_{name}"
    for name in ("a_guard", "a_guard_truncate", "b_truncate", "b_insert", "b_update", "b_rekey", "b_delete")
)


@pytest.fixture(autouse=True)
def proven(screener: Session, memberships: Stream) -> None:
    """One row, mirrored and validated."""
    add(screener, "A", weight=1)
    enabled(memberships)
    assert validate(memberships).status == "passed"
    assert stream_status(memberships)["verified"]


def gates(stream: Stream) -> list[str]:
    return [gate["gate"] for gate in stream_status(stream)["blocked_by"]]


def write_unnoted(screener: Session) -> None:
    screener.execute(OFF)
    add(screener, "B")
    screener.execute("UPDATE index_memberships SET weight = 2 WHERE symbol = 'A'")


def assert_distrusted_and_mended_by_enabling(registry: Session, stream: Stream, generation: int) -> None:
    state = switch.state(stream, Store.SCREENER)
    assert (state.backfilled, state.generation) == (False, generation + 1)
    row = stream_status(stream)
    assert not row["verified"]
    assert "manage.py dualwrite enable --stream index_memberships" in (row["transition"] or "")
    enabled(stream)
    assert mirrored(registry) == {"NSE:A": 2, "NSE:B": None}
    assert validate(stream).status == "passed"


def test_installing_over_damage_does_not_hide_what_went_unnoted(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    before = switch.state(memberships, Store.SCREENER).generation
    write_unnoted(screener)
    screener.execute(ON)
    assert capture.install(Store.SCREENER)["index_memberships"] == "installed"
    assert_distrusted_and_mended_by_enabling(registry, memberships, before)


def test_a_running_relay_that_saw_capture_broken_distrusts_the_stream_although_it_is_mended_by_hand(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    before = switch.state(memberships, Store.SCREENER).generation
    with opened(memberships) as pipe:
        write_unnoted(screener)
        with pytest.raises(CaptureBroken, match="dualwrite_b_insert is not enabled"):
            pipe.check()
    screener.execute(ON_AS_INSTALLED)
    assert capture.problems(memberships, Store.SCREENER) == []
    assert_distrusted_and_mended_by_enabling(registry, memberships, before)


def test_a_relay_that_finds_capture_broken_when_it_starts_distrusts_the_stream(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    before = switch.state(memberships, Store.SCREENER).generation
    write_unnoted(screener)
    with pytest.raises(CaptureBroken):
        open_pipe(memberships)
    screener.execute(ON_AS_INSTALLED)
    assert_distrusted_and_mended_by_enabling(registry, memberships, before)


def test_a_running_relay_notices_a_dropped_trigger(screener: Session, memberships: Stream) -> None:
    with opened(memberships) as pipe:
        assert pipe.check()
        screener.execute("DROP TRIGGER dualwrite_b_delete ON index_memberships")
        with pytest.raises(CaptureBroken, match="dualwrite_b_delete is missing"):
            pipe.check()


def test_capture_damaged_during_a_backfill_keeps_it_from_being_declared_complete(
    screener: Session, memberships: Stream
) -> None:
    generation, _ = switch.begin_capture(memberships, Store.SCREENER, TESTER)
    outbox.note_all(memberships, Store.SCREENER, generation)
    write_unnoted(screener)
    screener.execute(ON)
    capture.install(Store.SCREENER)
    with pytest.raises(ConcurrentChange, match="belongs to an older generation"):
        switch.mark_backfilled(memberships, Store.SCREENER, generation, TESTER)


def test_nothing_is_verified_while_a_trigger_is_missing(screener: Session, memberships: Stream) -> None:
    screener.execute("DROP TRIGGER dualwrite_b_delete ON index_memberships")
    assert not stream_status(memberships)["verified"]


def test_nothing_is_verified_while_the_backfill_is_incomplete(screener: Session, memberships: Stream) -> None:
    screener.execute("UPDATE dualwrite.stream_state SET backfilled = false WHERE stream = 'index_memberships'")
    assert not stream_status(memberships)["verified"]


def test_a_new_generation_is_not_backfilled_from_its_first_moment(stores: None, memberships: Stream) -> None:
    before = switch.state(memberships, Store.SCREENER)
    switch.begin_capture(memberships, Store.SCREENER, TESTER)
    after = switch.state(memberships, Store.SCREENER)
    assert (before.backfilled, after.backfilled) == (True, False)
    assert after.generation == before.generation + 1


def test_a_validation_that_is_running_does_not_take_the_last_proof_away(stores: None, memberships: Stream) -> None:
    generation = switch.state(memberships, Store.SCREENER).generation
    ValidationRun.objects.create(
        stream=memberships.name, level="strict", authority="screener", generation=generation, status="running"
    )
    row = stream_status(memberships)
    assert row["last_validation"]["status"] == "running"
    assert row["verified"]


def test_a_mirror_that_was_uninstalled_for_a_while_is_none_until_enabled_again(
    registry: Session, memberships: Stream
) -> None:
    uninstall(Store.REGISTRY, TESTER, force=True)
    registry.execute("INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:UNSEEN', 'X')")
    capture.install(Store.REGISTRY)
    assert switch.state(memberships, Store.REGISTRY).role is Role.DETACHED
    assert "mirror" in gates(memberships)
    assert not stream_status(memberships)["verified"]
    assert enable(memberships, TESTER).changed
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": 1}
    assert gates(memberships) == []


def test_a_generation_never_comes_twice_although_the_engine_was_uninstalled(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    before = switch.state(memberships, Store.SCREENER).generation
    uninstall(Store.SCREENER, TESTER, force=True)
    screener.execute("UPDATE index_memberships SET weight = 2")
    capture.install(Store.SCREENER)
    assert switch.state(memberships, Store.SCREENER).generation > before
    assert not stream_status(memberships)["verified"]
    enabled(memberships)
    assert not stream_status(memberships)["verified"], "the proof is of an earlier generation"
    assert mirrored(registry) == {"NSE:A": 2}


def test_a_relay_from_before_an_uninstallation_is_refused(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    add(screener, "B")
    with opened(memberships) as pipe:
        uninstall(Store.REGISTRY, TESTER, force=True)
        capture.install(Store.REGISTRY)
        with pytest.raises(Superseded, match="the registry store is no mirror"):
            pipe.move()
        registry.execute("UPDATE dualwrite.stream_state SET role = 'mirror'")
        pipe._reader.forget()
        with pytest.raises(Superseded, match="the fence was raised"):
            pipe.move()
    assert mirrored(registry) == {"NSE:A": 1}


def test_another_database_in_the_place_of_a_store_is_not_mirrored(screener: Session, memberships: Stream) -> None:
    with opened(memberships) as pipe:
        screener.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
        for use in (pipe.check, lambda: open_pipe(memberships), lambda: enable(memberships, TESTER)):
            with pytest.raises(WrongStore, match="paired with another screener database"):
                use()
    with pytest.raises(WrongStore):
        validate(memberships)
    assert "identity" in gates(memberships)
    assert not stream_status(memberships)["verified"]


def test_pairing_anew_enables_anew(screener: Session, registry: Session, memberships: Stream) -> None:
    """The other database may say of itself that it is captured and backfilled: it was, into another mirror."""
    screener.execute(OFF)
    add(screener, "B")
    screener.execute(ON_AS_INSTALLED)
    screener.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    with pytest.raises(WrongStore):
        enable(memberships, TESTER)
    assert enable(memberships, TESTER, force=True).changed
    worker.drain(memberships)
    assert mirrored(registry) == {"NSE:A": 1, "NSE:B": None}
    assert gates(memberships) == []
    assert one(registry, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'pair'") == 2


def test_pairing_anew_for_one_stream_leaves_no_other_stream_enabled(
    screener: Session, memberships: Stream, instruments: Stream
) -> None:
    """What the other stream was backfilled from is the database of before."""
    screener.execute("INSERT INTO instruments (symbol, exchange) VALUES ('A', 'NSE')")
    enabled(instruments)
    assert validate(instruments).status == "passed"
    screener.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    enable(memberships, TESTER, force=True)
    assert not stream_status(instruments)["verified"]
    assert enable(instruments, TESTER).changed


def test_killed_after_pairing_anew_enabling_again_still_enables_anew(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        """Stands for the end of the process."""

    def killed(*args: object) -> None:
        raise Killed

    screener.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    with monkeypatch.context() as patch:
        patch.setattr(switch, "begin_capture", killed)
        with pytest.raises(Killed):
            enable(memberships, TESTER, force=True)
    assert not stream_status(memberships)["verified"]
    assert enable(memberships, TESTER, force=True).changed


def test_damage_that_is_seen_again_and_again_is_told_once(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_insert")
    for _ in range(3):
        with pytest.raises(CaptureBroken):
            capture.require_trusted(memberships, Store.SCREENER)
    assert one(screener, "SELECT count(*) FROM dualwrite.audit WHERE verb = 'distrust'") == 1
    assert switch.state(memberships, Store.SCREENER).generation == 2
