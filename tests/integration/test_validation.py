"""Validation finds each planted fault, and nothing else."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from dualwrite import runs
from dualwrite.control.pause import pause
from dualwrite.control.status import stream_status
from dualwrite.exceptions import AlreadyRunning, UnknownName
from dualwrite.models import ValidationRun
from dualwrite.relay import worker
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation import recheck
from dualwrite.validation.look import Waiting, waiting_of
from dualwrite.validation.run import validate
from tests.conftest import TESTER
from tests.support import add, enabled

Tamper = Callable[[str], None]


@pytest.fixture
def tamper(registry: Session, screener: Session, memberships: Stream) -> Tamper:
    """Equal stores of some awkward rows, and a way to change the mirror behind the relay's back."""
    for number in range(300):
        add(screener, f"S{number}", weight=Decimal(number) / 7, sector=None if number % 3 else "x")
    add(screener, "A|B", "A|B", weight=None, sector="")
    add(screener, "日本", 'a","b', weight="1.50", sector="|", effective_date="1999-12-31")
    enabled(memberships)

    def change(query: str) -> None:
        with registry.transaction():
            registry.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
            assert registry.execute(query).rowcount

    return change


def counts(run: ValidationRun) -> tuple[int, int, int, int]:
    return run.missing_in_mirror, run.extra_in_mirror, run.field_mismatch, run.unsettled


def test_equal_stores_pass_and_are_verified(tamper: Tamper, memberships: Stream) -> None:
    assert not stream_status(memberships)["verified"]
    run = validate(memberships)
    assert (run.status, counts(run)) == ("passed", (0, 0, 0, 0))
    assert (run.authority_rows, run.mirror_rows) == (302, 302)
    row = stream_status(memberships)
    assert row["verified"]
    assert row["last_validation"]["status"] == "passed"


FAULTS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "a value": ("UPDATE index_memberships SET weight = 9 WHERE instrument_key = 'NSE:S1'", (0, 0, 1)),
    "NULL instead of a value": (
        "UPDATE index_memberships SET weight = NULL WHERE instrument_key = 'NSE:S1'",
        (0, 0, 1),
    ),
    "'' instead of NULL": (
        "UPDATE index_memberships SET sector = '' WHERE instrument_key = 'NSE:S1'",
        (0, 0, 1),
    ),
    "NULL instead of ''": ("UPDATE index_memberships SET sector = NULL WHERE sector = ''", (0, 0, 1)),
    "the last digit": (
        "UPDATE index_memberships SET weight = weight + 0.000001 WHERE instrument_key = 'NSE:S1'",
        (0, 0, 1),
    ),
    "two values swapped": (
        "UPDATE index_memberships SET weight = CASE instrument_key WHEN 'NSE:S1' THEN 0.285714 ELSE 0.142857 END"
        " WHERE instrument_key IN ('NSE:S1', 'NSE:S2')",
        (0, 0, 2),
    ),
    "a day": (
        "UPDATE index_memberships SET date_added = date_added + 1 WHERE date_added IS NOT NULL",
        (0, 0, 1),
    ),
    "a row gone": ("DELETE FROM index_memberships WHERE instrument_key = 'NSE:S7'", (1, 0, 0)),
    "a row inactive": (
        "UPDATE index_memberships SET is_active = false WHERE instrument_key = 'NSE:S7'",
        (1, 0, 0),
    ),
    "a row too many": (
        "INSERT INTO index_memberships (instrument_key, index_id) VALUES ('NSE:S1', 'Y')",
        (0, 1, 0),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(tamper: Tamper, memberships: Stream, fault: str) -> None:
    query, expected = FAULTS[fault]
    tamper(query)
    run = validate(memberships)
    assert (run.status, counts(run)) == ("warning", (*expected, 0))
    assert {d["history"] for d in run.differences} == {"never captured"}
    assert not stream_status(memberships)["verified"]


def test_a_difference_shows_both_records(tamper: Tamper, memberships: Stream) -> None:
    tamper("UPDATE index_memberships SET sector = 'other' WHERE sector = '|'")
    difference: dict[str, Any] = validate(memberships).differences[0]
    assert difference["key"] == '["NSE:日本","a\\",\\"b"]'
    assert [r["sector"] for r in difference["authority"]] == ["|"]
    assert [r["sector"] for r in difference["mirror"]] == ["other"]


def test_numbers_are_equal_by_value(tamper: Tamper, screener: Session, memberships: Stream) -> None:
    screener.execute("UPDATE index_memberships SET weight = 1.5000 WHERE weight = 1.50")
    worker.drain(memberships)
    tamper("UPDATE index_memberships SET weight = 1.500000 WHERE weight = 1.5")
    assert validate(memberships).status == "passed"


def test_writes_that_are_still_on_their_way_are_no_difference(
    tamper: Tamper, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "PATIENCE", (0.01,))
    pause(memberships, TESTER)
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol = 'S1'")
    run = validate(memberships)
    assert (run.status, counts(run)) == ("warning", (0, 0, 0, 1))


def test_a_write_that_settles_during_the_run_passes(
    tamper: Tamper, screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    screener.execute("UPDATE index_memberships SET weight = 3 WHERE symbol = 'S1'")

    def relay_after_first_look(*args: Any) -> dict[str, Waiting]:
        found = waiting_of(*args)
        worker.drain(memberships)
        return found

    monkeypatch.setattr("dualwrite.validation.look.waiting_of", relay_after_first_look)
    assert validate(memberships).status == "passed"


def test_a_parked_key_is_a_difference_with_its_history(tamper: Tamper, screener: Session, memberships: Stream) -> None:
    add(screener, None)
    add(screener, "BAD", weight="101")
    worker.drain(memberships)
    run = validate(memberships)
    assert (run.status, counts(run)) == ("warning", (2, 0, 0, 0))
    assert {d["history"] for d in run.differences} == {"parked"}


def test_two_rows_of_one_key_are_a_difference(tamper: Tamper, screener: Session, memberships: Stream) -> None:
    add(screener, "S1", weight=Decimal(1) / 7)
    worker.drain(memberships)
    run = validate(memberships)
    assert (run.status, counts(run)) == ("warning", (0, 0, 1, 0))


def test_two_empty_stores_prove_nothing(stores: None, memberships: Stream) -> None:
    run = validate(memberships)
    assert (run.status, run.error) == ("error", "the authority has no rows, so nothing could be proven")


def test_a_run_that_breaks_off_is_an_error_and_never_passed(
    tamper: Tamper, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr("dualwrite.validation.engine.digest", broken)
    with pytest.raises(ConnectionResetError):
        validate(memberships)
    run = ValidationRun.objects.get()
    assert (run.status, run.error) == ("error", "gone")


def test_only_one_run_of_a_stream_at_a_time(tamper: Tamper, memberships: Stream) -> None:
    with (
        runs.only_run("validation", memberships),
        pytest.raises(AlreadyRunning, match="validation of stream"),
    ):
        validate(memberships)


def test_a_run_left_by_a_dead_process_is_closed_by_the_next(tamper: Tamper, memberships: Stream) -> None:
    ValidationRun.objects.create(stream=memberships.name, level="strict", authority="screener", generation=1)
    validate(memberships)
    first = ValidationRun.objects.order_by("id").first()
    assert first is not None
    assert (first.status, first.error) == ("error", "its process died or lost its connection; run it again")


def test_an_unknown_level_is_answered_with_the_valid_ones(stores: None, memberships: Stream) -> None:
    with pytest.raises(UnknownName, match="'deep'; valid: basic, detailed, strict"):
        validate(memberships, "deep")


def test_a_proof_of_an_older_generation_verifies_nothing(
    tamper: Tamper, screener: Session, memberships: Stream
) -> None:
    validate(memberships)
    screener.execute("UPDATE dualwrite.stream_state SET generation = generation + 1 WHERE stream = 'index_memberships'")
    assert not stream_status(memberships)["verified"]
