"""Incremental validations: every key that was touched is looked at, and nothing that was not looked at is forgotten."""

from importlib import import_module

import pytest

from dualwrite import failpoints, switch
from dualwrite.control.disable import disable
from dualwrite.control.enable import enable
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import InvalidParameter
from dualwrite.models import ParkedKey, ValidationRun
from dualwrite.relay import applier, worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import coverage
from dualwrite.validation.level import Level
from dualwrite.validation.run import resume, validate
from dualwrite.validation.scope import Scope
from tests.conftest import TESTER
from tests.support import add, column, enabled, fill, one, tampered

TOUCHED = "SELECT unnest(keys) FROM dualwrite.touched WHERE stream = 'index_memberships' ORDER BY 1"


def incremental(stream: Stream, level: str = "detailed") -> ValidationRun:
    """One such run."""
    return validate(stream, level, incremental=True)


@pytest.fixture
def equal(screener: Session, memberships: Stream) -> Stream:
    """400 equal records, looked at once."""
    fill(screener, 400)
    enabled(memberships)
    assert validate(memberships).status == "passed"
    return memberships


def test_the_relay_keeps_the_keys_it_applies_and_a_run_removes_them(
    screener: Session, registry: Session, equal: Stream
) -> None:
    assert column(registry, TOUCHED) == []
    add(screener, "A")
    screener.execute("DELETE FROM index_memberships WHERE symbol = 'S7'")
    worker.drain(equal)
    assert column(registry, TOUCHED) == ['["NSE:A","NIFTY 50"]', '["NSE:S7","X"]']
    run = incremental(equal)
    assert (run.status, column(registry, TOUCHED)) == ("passed", [])
    assert run.scope == 'slice 0/48 and keys ["[\\"NSE:A\\",\\"NIFTY 50\\"]", "[\\"NSE:S7\\",\\"X\\"]"]'


def test_what_was_touched_is_compared_wherever_its_slice_is(
    screener: Session, registry: Session, equal: Stream
) -> None:
    symbols = [f"T{number}" for number in range(30)]
    for symbol in symbols:
        add(screener, symbol, weight=1)
    worker.drain(equal)
    tampered(registry, "UPDATE index_memberships SET weight = 2 WHERE instrument_key LIKE 'NSE:T%'")
    run = incremental(equal)
    assert run.field_mismatch == 30
    assert incremental(equal).field_mismatch == 30, "what differs is looked at again"
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol LIKE 'T%'")
    worker.drain(equal)
    assert incremental(equal).status == "passed"
    assert column(registry, TOUCHED) == []


def test_in_48_runs_everything_is_looked_at(registry: Session, equal: Stream) -> None:
    tampered(registry, "UPDATE index_memberships SET sector = 'odd' WHERE instrument_key LIKE 'NSE:S1%'")
    wrong = one(registry, "SELECT count(*) FROM index_memberships WHERE sector = 'odd'")
    found: set[str] = set()
    for number in range(coverage.SLICES):
        run = incremental(equal)
        assert run.scope.startswith(f"slice {number}/48")
        found.update(difference["key"] for difference in run.differences)
    assert len(found) == wrong
    began = ValidationRun.objects.order_by("-id")[coverage.SLICES - 1].started_at
    covered = coverage.coverage(equal, switch.authority(equal), Level.DETAILED)
    assert min(covered.values()) == began


def test_a_slice_without_rows_is_done_with(screener: Session, memberships: Stream) -> None:
    add(screener, "A")
    enabled(memberships)
    validate(memberships)
    scopes = [incremental(memberships).scope for _ in range(5)]
    assert scopes == [f"slice {number}/48" for number in range(5)]


@pytest.fixture
def restarted(equal: Stream) -> Stream:
    """Disabled and enabled again: what was proven before counts no more."""
    disable(equal, TESTER)
    enable(equal, TESTER)
    worker.drain(equal)
    return equal


def test_before_a_look_at_everything_everything_is_looked_at(restarted: Stream) -> None:
    run = incremental(restarted)
    assert (run.scope, run.status) == ("whole", "passed")
    assert run.configuration["everything_because"].startswith("no complete look at everything yet")
    assert incremental(restarted).scope == "slice 0/48"


def test_a_run_at_a_lower_level_leaves_the_keys_to_the_scheduled_ones(
    screener: Session, registry: Session, equal: Stream
) -> None:
    add(screener, "A")
    worker.drain(equal)
    validate(equal, "basic")
    assert column(registry, TOUCHED) == ['["NSE:A","NIFTY 50"]']
    assert min(coverage.coverage(equal, switch.authority(equal), Level.DETAILED).values()) < (
        ValidationRun.objects.latest("id").started_at
    )


def test_keys_that_come_in_the_midst_of_a_run_are_left_for_the_next(
    screener: Session, registry: Session, equal: Stream
) -> None:
    add(screener, "A")
    worker.drain(equal)

    def meanwhile() -> None:
        failpoints.clear()
        add(screener, "B")
        worker.drain(equal)

    failpoints.at("validation compared", meanwhile)
    try:
        incremental(equal)
    finally:
        failpoints.clear()
    assert column(registry, TOUCHED) == ['["NSE:B","NIFTY 50"]']


def test_a_run_that_breaks_removes_nothing_and_is_done_again(
    screener: Session, registry: Session, equal: Stream
) -> None:
    for number in range(25):
        add(screener, f"T{number}")
    worker.drain(equal)

    def break_off() -> None:
        raise RuntimeError("the machine went away")

    failpoints.at("validation compared", break_off)
    try:
        with pytest.raises(RuntimeError):
            incremental(equal)
    finally:
        failpoints.clear()
    assert len(column(registry, TOUCHED)) == 25
    again = resume(ValidationRun.objects.latest("id").pk)
    assert (again.status, column(registry, TOUCHED)) == ("passed", [])


def test_parked_keys_are_looked_at_every_time(screener: Session, equal: Stream) -> None:
    add(screener, "A", index=" blank in front")
    worker.drain(equal)
    (parked,) = ParkedKey.objects.values_list("key", flat=True)
    for _ in range(2):
        run = incremental(equal)
        assert [difference["key"] for difference in run.differences] == [parked]


def test_more_keys_than_are_kept_make_the_next_run_look_at_everything(
    screener: Session, registry: Session, equal: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "MOST_TOUCHED", 10)
    monkeypatch.setattr(applier, "TOUCHED_CHECK_BATCHES", 1)
    screener.execute("UPDATE index_memberships SET sector = 'new'")
    worker.drain(equal)
    assert registry.execute("SELECT keys, number FROM dualwrite.touched").fetchall() == [(None, 0)]
    run = incremental(equal)
    assert (run.scope, run.configuration["everything_because"]) == (
        "whole",
        "more keys were written than are kept one by one",
    )
    assert incremental(equal).scope == "slice 0/48"


def test_more_keys_than_are_worth_it_make_the_run_look_at_everything(
    screener: Session, equal: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "MOST_KEYS", 399)
    screener.execute("UPDATE index_memberships SET sector = 'new'")
    worker.drain(equal)
    assert incremental(equal).configuration["everything_because"] == "more than 399 keys were written since"


def test_a_part_given_by_hand_removes_nothing(screener: Session, registry: Session, equal: Stream) -> None:
    add(screener, "A")
    worker.drain(equal)
    validate(equal, "strict", Scope.slice(0, 2))
    assert column(registry, TOUCHED) == ['["NSE:A","NIFTY 50"]']


def test_on_the_way_back_the_old_store_keeps_the_keys(screener: Session, registry: Session, equal: Stream) -> None:
    hand_over(equal, Store.REGISTRY, TESTER)
    enable(equal, TESTER)
    worker.drain(equal)
    assert incremental(equal).scope == "whole"
    registry.execute("UPDATE index_memberships SET sector = 'back' WHERE instrument_key = 'NSE:S1'")
    worker.drain(equal)
    assert column(screener, TOUCHED) == ['["NSE:S1","X"]']
    assert incremental(equal).status == "passed"
    assert column(screener, TOUCHED) == []


def test_a_key_that_waits_and_is_not_relayed_is_no_pass(screener: Session, equal: Stream) -> None:
    screener.execute("UPDATE index_memberships SET weight = 9 WHERE symbol = 'S7'")
    screener.execute("UPDATE dualwrite.outbox SET noted_at = now() - interval '5 hours'")
    run = incremental(equal)
    assert run.relay_stuck == 1
    assert run.status != "passed"


def test_what_a_run_at_a_lower_level_took_makes_a_closer_one_look_at_everything(
    screener: Session, registry: Session, equal: Stream
) -> None:
    screener.execute("UPDATE index_memberships SET weight = 9 WHERE symbol LIKE 'S7%'")
    worker.drain(equal)
    tampered(registry, "UPDATE index_memberships SET weight = 9.000001 WHERE instrument_key LIKE 'NSE:S7%'")
    assert incremental(equal).status == "passed"
    run = incremental(equal, "strict")
    assert (run.scope, run.field_mismatch) == ("whole", 11)
    assert run.configuration["everything_because"].endswith("was looked at less closely")


@pytest.mark.parametrize("kept", [5, 5000])
def test_what_differs_is_looked_at_again_however_much_it_is(
    registry: Session, equal: Stream, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(import_module("dualwrite.validation.engine"), "KEPT", kept)
    tampered(registry, "UPDATE index_memberships SET sector = 'odd' WHERE instrument_key LIKE 'NSE:S1%'")
    wrong = validate(equal).field_mismatch
    assert wrong == 111
    for _ in range(3):
        assert incremental(equal).field_mismatch == wrong


def test_a_run_that_takes_nothing_adds_nothing(screener: Session, registry: Session, equal: Stream) -> None:
    tampered(registry, "DELETE FROM index_memberships WHERE instrument_key = 'NSE:S1'")
    for _ in range(3):
        assert validate(equal, "basic").missing_in_mirror == 1
    assert column(registry, TOUCHED) == []


def test_many_records_under_one_key_count_as_many(screener: Session, memberships: Stream) -> None:
    for number in range(10):
        add(screener, f"S{number}")
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name) SELECT 'T' || g, 'A:B', 'X'"
        " FROM generate_series(1, 90) AS g"
    )
    enabled(memberships)
    run = validate(memberships, "detailed")
    assert (run.status, run.missing_in_mirror, run.authority_rows, run.mirror_rows) == ("failed", 1, 100, 10)
    (difference,) = run.differences
    assert len(difference["authority"]) == 10


def test_a_wrong_threshold_is_told_before_anything_is_compared(equal: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_MAX_MISSING_PERCENT", "abc")
    failpoints.at("validation compared", lambda: pytest.fail("it was compared"))
    try:
        with pytest.raises(InvalidParameter):
            validate(equal)
    finally:
        failpoints.clear()


@pytest.mark.parametrize(("wrong", "status"), [(2, "warning"), (3, "failed")])
def test_few_of_the_keys_written_last_are_no_failure_of_the_stream(
    screener: Session, registry: Session, equal: Stream, wrong: int, status: str
) -> None:
    screener.execute("UPDATE index_memberships SET weight = 1 WHERE symbol LIKE 'S39_'")
    worker.drain(equal)
    spoil = "UPDATE index_memberships SET weight = 2 WHERE instrument_key = ANY (%s)"
    with registry.transaction():
        registry.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
        assert registry.execute(spoil, ([f"NSE:S39{number}" for number in range(wrong)],)).rowcount == wrong
    run = incremental(equal)
    assert run.authority_rows is not None
    assert (run.status, run.field_mismatch, run.authority_rows < 100) == (status, wrong, True)
