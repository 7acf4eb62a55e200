"""What is made of writes and switches: who met one, who waited, and what is said about it."""

import pytest

from dualwrite.control.rehearsal.figures import Rehearsal, Switched, Times, Write, as_text, percentile, split, times


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 2), (51, 3), (99, 4), (100, 4)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile([4, 2, 3, 1], percent) == value


def test_a_write_is_ordinary_when_no_switch_touched_it() -> None:
    before, after = Write(0, 1), Write(2, 3)
    assert split([before, after], [(1, 2)]) == ([before, after], [])


def test_a_refused_write_met_a_switch_however_fast_it_was() -> None:
    refused = Write(5, 5.001, refused=1)
    assert split([Write(0, 1), refused], []) == ([Write(0, 1)], [refused])


def test_a_write_beside_a_switch_counts_as_waiting_only_when_it_was_slow() -> None:
    usual, quick, slow = Write(0, 0.1), Write(1.0, 1.05), Write(1.0, 1.4)
    assert split([usual, quick, slow], [(0.9, 1.5)]) == ([usual], [slow])


def test_no_writes_have_no_times() -> None:
    assert times([]) is None
    assert times([Write(0, 3), Write(0, 1)]) == Times(2, 1, 3, 3)


def _found(lost: int, failed: str) -> Rehearsal:
    switches = [Switched("registry", 1, 0.01, 2), Switched("screener", failed=failed)]
    keys = ["w1-7"] if lost else []
    return Rehearsal(2.0, 10, 20, 1, lost, switches, Times(19, 0.001, 0.002, 0.003), None, keys)


@pytest.mark.parametrize(("lost", "failed", "passed"), [(0, "", True), (1, "", False), (0, "taken back", False)])
def test_a_rehearsal_passes_when_nothing_was_lost_and_every_switch_done(lost: int, failed: str, passed: bool) -> None:
    found = _found(lost, failed)
    assert found.passed is passed
    assert as_text(found).startswith("passed" if passed else "FAILED")


def test_the_text_names_lost_keys_and_failed_switches() -> None:
    text = as_text(_found(1, "a writer does not finish"))
    assert "! lost: w1-7" in text
    assert "! switch 2 to screener: a writer does not finish" in text
    assert "switch 1 to registry: lock held 10.0 ms" in text
