"""Which slice is next, read off the runs there were."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dualwrite.validation.coverage import SLICES, covered, next_slice

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(runs: int) -> datetime:
    """When the run of that number began, half an hour after the one before."""
    return NOON + timedelta(minutes=30 * runs)


def test_after_a_look_at_everything_the_first_slice_is_next() -> None:
    assert next_slice(covered(NOON, [])) == 0


def test_a_slice_that_was_looked_at_waits_behind_all_others() -> None:
    assert next_slice(covered(NOON, [("slice 0/48", at(1)), ('slice 1/48 and keys ["[1]"]', at(2))])) == 2


def test_slices_of_another_size_count_for_nothing() -> None:
    assert next_slice(covered(NOON, [("slice 0/10", at(1)), ("slice 1/480 and 500 keys", at(2))])) == 0


@given(st.integers(0, 300))
def test_every_slice_is_looked_at_within_a_day_however_long_it_goes_on(runs: int) -> None:
    parts: list[tuple[str, datetime]] = []
    for number in range(1, runs + 1):
        parts.append((f"slice {next_slice(covered(NOON, parts))}/{SLICES}", at(number)))
    oldest = min(covered(NOON, parts).values())
    assert at(runs) - oldest <= timedelta(days=1)
