"""How a digest is cut: buckets by the number of rows, parts by the time they take."""

import pytest

from dualwrite.validation import digest


@pytest.mark.parametrize(
    ("rows", "buckets"),
    [(0, 1_024), (1, 1_024), (131_072, 1_024), (131_200, 2_048), (1_000_000, 8_192), (10**8, 65_536), (10**10, 65_536)],
)
def test_buckets_have_about_as_many_rows_whatever_the_size(rows: int, buckets: int) -> None:
    assert digest.bucket_count(rows) == buckets


@pytest.mark.parametrize("total", [0, 1, 32_768, 49_152, 49_153, 1_000_000])
@pytest.mark.parametrize("seconds", [0.01, 1.5, 60.0])
def test_ranges_follow_on_each_other_and_the_last_is_open(
    total: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("dualwrite.validation.digest.time.monotonic", lambda: now[0])
    found = []
    for low, high in digest.ranges(total):
        now[0] += seconds
        found.append((low, high))
    lows, highs = [low for low, _ in found], [high for _, high in found]
    assert lows == [0, *highs[:-1]]
    assert highs[-1] is None
    assert (len(found) > 1) is (total > 1.5 * digest.FIRST_BLOCKS)


def test_a_part_that_takes_too_long_is_followed_by_smaller_ones_and_a_quick_one_by_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, took = [0.0], iter([6.0, 0.75, 0.0, 1.5, 1.5])
    monkeypatch.setattr("dualwrite.validation.digest.time.monotonic", lambda: now[0])
    sizes: list[int] = []
    for low, high in digest.ranges(10_000_000):
        if high is None or len(sizes) == 5:
            break
        sizes.append(high - low)
        now[0] += next(took)
    first = digest.FIRST_BLOCKS
    assert sizes == [first, first // 4, first // 2, first * 2, first * 2]
