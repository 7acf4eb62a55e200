"""The number below which no note can be any more: never above one that may still be seen."""

from hypothesis import given
from hypothesis import strategies as st

from dualwrite.relay.horizon import Horizon


def test_it_takes_two_looks_with_every_earlier_transaction_ended_in_between() -> None:
    horizon = Horizon()
    horizon.look(100, None, unfinished=5, following=9)
    assert horizon.above == 0
    horizon.look(120, None, unfinished=8, following=12)
    assert horizon.above == 0, "transaction 8 may have drawn a number up to 100"
    horizon.look(130, None, unfinished=9, following=13)
    assert horizon.above == 100


def test_a_note_that_waits_keeps_it_below_itself() -> None:
    horizon = Horizon()
    horizon.look(100, None, unfinished=9, following=9)
    horizon.look(130, 40, unfinished=10, following=13)
    assert horizon.above == 39


@given(st.data())
def test_no_note_that_is_committed_later_has_a_number_up_to_it(data: st.DataObject) -> None:
    """Transactions begin, draw numbers, commit or roll back in any order; a relay looks, and deletes what it sees."""
    horizon, running, visible = Horizon(), {}, set[int]()
    last, following = 0, 1
    for _ in range(data.draw(st.integers(1, 60))):
        what = data.draw(st.sampled_from(["begin", "draw", "commit", "roll back", "look", "relay"]))
        if what == "begin":
            running[following] = set[int]()
            following += 1
        elif what == "draw" and running:
            last += 1
            running[data.draw(st.sampled_from(sorted(running)))].add(last)
        elif what in ("commit", "roll back") and running:
            drawn = running.pop(data.draw(st.sampled_from(sorted(running))))
            visible |= drawn if what == "commit" else set()
        elif what == "look":
            seen = [number for number in visible if number > horizon.above]
            horizon.look(last, min(seen, default=None), min(running, default=following), following)
        elif what == "relay":
            visible -= {number for number in visible if number > horizon.above}
        assert all(number > horizon.above for number in visible)
        assert all(number > horizon.above for drawn in running.values() for number in drawn)
