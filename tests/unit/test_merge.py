"""Merging two ordered streams of rows finds exactly the keys whose rows are not the same, whatever the batches."""

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.validation import merge as merging
from dualwrite.validation.merge import ONE_BY_ONE, Row, merge

#: Few hashes, so that they are often shared, by rows of one key and of several.
ROWS = st.lists(
    st.builds(lambda kh, key, h: (kh, h, f"{kh}/{key}", ""), st.integers(-2, 2), st.integers(0, 1), st.integers(-1, 1)),
    max_size=12,
)
SIZES = st.lists(st.integers(0, 4), max_size=6)


def batches(rows: list[Row], sizes: list[int]) -> list[list[Row]]:
    """The rows in order, cut into batches of these sizes and a last one."""
    left, cut = sorted(rows), []
    for size in sizes:
        cut.append(left[:size])
        left = left[size:]
    return [*cut, left]


def by_key(rows: list[Row]) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for _, h, key, _ in rows:
        found[key][h] += 1
    return found


@given(ROWS, ROWS, SIZES, SIZES)
def test_exactly_the_keys_that_differ_are_named_once(
    one: list[Row], other: list[Row], these: list[int], those: list[int]
) -> None:
    left, right = by_key(one), by_key(other)
    expected = {key for key in left.keys() | right.keys() if left[key] != right[key]}
    found = list(merge(iter(batches(one, these)), iter(batches(other, those))))
    keys = [key for difference in found for key in difference.keys]
    assert sorted(keys) == sorted(expected)
    assert [difference.hash for difference in found] == sorted({difference.hash for difference in found})


@given(ROWS, ROWS, SIZES, SIZES)
def test_the_same_keys_are_named_where_no_rows_are_kept(
    one: list[Row], other: list[Row], these: list[int], those: list[int]
) -> None:
    left, right = by_key(one), by_key(other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "ONE_BY_ONE", 0)
        found = list(merge(iter(batches(one, these)), iter(batches(other, those))))
        assert all(difference.is_large for difference in found)
    keys = [key for difference in found for key in difference.keys]
    assert sorted(keys) == sorted(key for key in left.keys() | right.keys() if left[key] != right[key])
    assert all(max(len(difference.one), len(difference.other)) == 1 for difference in found)


@given(ROWS, ROWS)
def test_a_difference_has_the_rows_that_are_not_as_often_on_the_other_side(one: list[Row], other: list[Row]) -> None:
    found = list(merge(iter([sorted(one)]), iter([sorted(other)])))
    mine, theirs = Counter(one), Counter(other)
    rows = {row for row in mine | theirs if mine[row] != theirs[row]}
    assert Counter(row for d in found for row in d.one) == Counter({r: mine[r] for r in rows if mine[r]})
    assert Counter(row for d in found for row in d.other) == Counter({r: theirs[r] for r in rows if theirs[r]})


def test_no_more_than_a_few_batches_are_held() -> None:
    """Of two streams of different pace the faster one waits."""
    read = [0, 0]

    def sent(count: int, step: int) -> list[list[Row]]:
        return [[(n * step, 0, str(n * step), "") for n in range(b * 10, b * 10 + 10)] for b in range(count)]

    def counting(side: int, rows: list[list[Row]]) -> Iterator[list[Row]]:
        for batch in rows:
            read[side] += 1
            yield batch

    merged = merge(counting(0, sent(100, 1)), counting(1, sent(10, 10)))
    next(merged)
    assert read[0] <= 3
    assert read[1] <= 2


def flood(rows: int, distinct: int) -> Iterator[list[Row]]:
    """Rows of one key in batches of a thousand, with so many different row hashes."""
    for start in range(0, rows, 1_000):
        yield [(7, n * distinct // rows, '["one"]', "") for n in range(start, start + 1_000)]


@pytest.mark.parametrize("distinct", [1, 100_000])
def test_a_flood_of_rows_of_one_key_is_never_held(distinct: int) -> None:
    tracemalloc.start()
    try:
        assert list(merge(flood(100_000, distinct), flood(100_000, distinct))) == []
        (found,) = merge(flood(100_000, distinct), flood(99_000, distinct))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.keys, found.is_large) == (['["one"]'], True)
    assert len(found.one) == ONE_BY_ONE + 1
    assert peak < 3_000_000


def test_a_key_that_shares_its_hash_with_a_flood_is_named() -> None:
    many: list[Row] = [(7, n, "flood", "") for n in range(1_000)]
    (found,) = merge(iter([[*many, (7, 1_000, "other", "")]]), iter([]))
    assert found.keys == ["flood", "other"]
