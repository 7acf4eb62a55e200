"""What the totals of a comparison mean: thresholds tell a warning from a failure, and only nothing found has passed."""

from dataclasses import replace

import pytest

from dualwrite.validation.scope import Scope
from dualwrite.validation.thresholds import LEAST, Thresholds, Totals, in_force, judge, least

LIMITS = Thresholds(missing_percent=5, mismatch_percent=2, drift_percent=10)
EQUAL = Totals(authority_rows=1_000, mirror_rows=1_000)
ONE = {
    "missing": replace(EQUAL, missing=1),
    "extra": replace(EQUAL, extra=1),
    "mismatch": replace(EQUAL, mismatch=1),
    "stuck": replace(EQUAL, stuck=1),
    "unsettled": replace(EQUAL, unsettled=1),
}


def status(totals: Totals, limits: Thresholds = LIMITS) -> str:
    return judge(totals, limits).status.value


def exceeded(totals: Totals) -> list[object]:
    return [violation["threshold"] for violation in judge(totals, LIMITS).violations]


def test_nothing_found_in_all_rows_of_both_stores_has_passed() -> None:
    found = judge(EQUAL, LIMITS)
    assert (found.status.value, found.sentence, found.violations, found.passed_thresholds) == ("passed", "", (), True)


@pytest.mark.parametrize("kind", ONE)
def test_one_record_of_any_kind_is_a_warning_even_where_everything_is_tolerated(kind: str) -> None:
    one = ONE[kind]
    assert status(one) == "warning"
    assert status(one, Thresholds(100, 100, 100)) == "warning"


@pytest.mark.parametrize(
    ("totals", "violated"),
    [
        (replace(EQUAL, missing=50), []),
        (replace(EQUAL, missing=51), ["missing_percent"]),
        (replace(EQUAL, mismatch=20), []),
        (replace(EQUAL, mismatch=21), ["mismatch_percent"]),
        (replace(EQUAL, stuck=21), ["mismatch_percent"]),
        (replace(EQUAL, mismatch=11, stuck=10), ["mismatch_percent"]),
        # Of the records that both have: 19 of 950 are exactly 2 %.
        (replace(EQUAL, missing=50, mismatch=19), []),
        (replace(EQUAL, missing=50, mismatch=20), ["mismatch_percent"]),
        # Of the greater total: 111 of 1,111 are just below 10 %.
        (replace(EQUAL, extra=111), []),
        (replace(EQUAL, extra=112), ["drift_percent"]),
        (replace(EQUAL, missing=150), ["missing_percent", "drift_percent"]),
    ],
)
def test_the_edge_is_tolerated_and_one_more_is_not(totals: Totals, violated: list[str]) -> None:
    assert exceeded(totals) == violated
    assert status(totals) == ("failed" if violated else "warning")
    assert judge(totals, LIMITS).passed_thresholds is not bool(violated)


def test_a_violation_names_what_was_found_and_what_is_tolerated() -> None:
    (violation,) = judge(replace(EQUAL, missing=60), LIMITS).violations
    assert violation == {"threshold": "missing_percent", "limit": 5, "found": 6.0}


def test_rows_that_were_on_their_way_while_both_stores_were_counted_are_no_drift() -> None:
    assert status(Totals(authority_rows=1_000, mirror_rows=500)) == "passed"
    assert status(Totals(authority_rows=1_000, mirror_rows=500, unsettled=500)) == "warning"


@pytest.mark.parametrize("mirror_rows", [0, 1_000])
def test_an_authority_without_rows_proves_nothing(mirror_rows: int) -> None:
    assert status(Totals(authority_rows=0, mirror_rows=mirror_rows, extra=mirror_rows)) == "error"


def test_a_mirror_without_rows_never_passes() -> None:
    assert status(Totals(authority_rows=5, mirror_rows=0, missing=5)) == "failed"
    assert status(Totals(authority_rows=5, mirror_rows=0)) == "warning"
    assert status(Totals(authority_rows=5, mirror_rows=0, missing=5), Thresholds(100, 100, 100)) == "warning"


def test_a_part_without_rows_is_skipped_and_one_with_rows_on_one_side_is_not() -> None:
    assert status(Totals(authority_rows=0, mirror_rows=0, whole=False)) == "skipped"
    assert status(Totals(authority_rows=0, mirror_rows=3, extra=3, whole=False)) == "failed"
    assert status(Totals(authority_rows=3, mirror_rows=3, whole=False)) == "passed"


def test_a_comparison_that_was_cut_short_never_passes() -> None:
    found = judge(replace(EQUAL, cut_short="too many to be looked at"), LIMITS)
    assert (found.status.value, found.sentence) == ("warning", "too many to be looked at")
    assert found.passed_thresholds is False
    assert status(replace(EQUAL, cut_short="too many", mismatch=1)) == "failed"


def test_thresholds_come_from_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_force() == LIMITS
    monkeypatch.setenv("INSTRUMENT_REGISTRY_MAX_MISSING_PERCENT", "0")
    assert in_force() == replace(LIMITS, missing_percent=0)
    assert status(replace(EQUAL, missing=1), in_force()) == "failed"


PART = Totals(authority_rows=20, mirror_rows=20, whole=False, least=LEAST)


@pytest.mark.parametrize(
    ("totals", "violated"),
    [
        (replace(PART, mismatch=1), []),
        (replace(PART, mismatch=2), []),
        (replace(PART, mismatch=3), ["mismatch_percent"]),
        (replace(PART, missing=5), []),
        (replace(PART, missing=6), ["missing_percent"]),
        (replace(PART, extra=11), []),
        (replace(PART, extra=12), ["drift_percent"]),
        (replace(PART, missing=20, mirror_rows=0), ["missing_percent", "drift_percent"]),
        # Of a part that is large enough the shares are its own.
        (replace(PART, authority_rows=1_000, mismatch=20), []),
        (replace(PART, authority_rows=1_000, mismatch=21), ["mismatch_percent"]),
        # A stream of forty records: one of them is more than two percent, as it is when all are looked at.
        (replace(PART, least=40, mismatch=1), ["mismatch_percent"]),
        (replace(PART, least=50, mismatch=1), []),
    ],
)
def test_a_small_part_fails_only_by_more_than_a_hundred_records_would_be_allowed(
    totals: Totals, violated: list[str]
) -> None:
    assert exceeded(totals) == violated
    assert status(totals) == ("failed" if violated else "warning")


def test_where_nothing_is_tolerated_one_record_of_a_part_fails() -> None:
    assert status(replace(PART, mismatch=1), Thresholds(0, 0, 0)) == "failed"


def test_shares_are_of_what_was_compared_where_everything_was_and_of_a_part_at_least_of_a_hundred() -> None:
    assert least(Scope.whole(), 5) == 0
    assert [least(Scope.slice(1, 48), rows) for rows in (None, 5, 1_000)] == [100, 5, 100]
    assert least(Scope.keys(["a"]), None) == 100
