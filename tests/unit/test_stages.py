"""The words of the migration and what they allow."""

from itertools import pairwise

import pytest

from dualwrite.exceptions import UnknownName
from dualwrite.stages import Stage, Store, stage_named, store_named


def test_the_old_store_is_the_authority_up_to_shadow() -> None:
    assert [s for s in Stage if s.authority is Store.SCREENER] == [Stage.OFF, Stage.DUALWRITE, Stage.SHADOW]


def test_every_stage_but_the_last_leads_one_step_forward() -> None:
    order = list(Stage)
    for here, after in pairwise(order):
        assert after in here.may_become
    assert Stage.COMPLETE.may_become == ()


def test_the_way_back_is_open_from_shadow_live_and_rampdown_only() -> None:
    order = list(Stage)
    goes_back = [s for s in Stage if any(order.index(t) < order.index(s) for t in s.may_become)]
    assert goes_back == [Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN]


def test_reads_come_from_the_authority_and_are_compared_on_both_sides_of_the_switch() -> None:
    assert [s.reads for s in Stage] == [Store.SCREENER] * 3 + [Store.REGISTRY] * 3
    assert [s for s in Stage if s.compares] == [Stage.SHADOW, Stage.LIVE]


def test_only_between_shadow_and_live_the_authority_moves() -> None:
    steps = [(s, t) for s in Stage for t in s.may_become if s.switches_to(t)]
    assert steps == [(Stage.SHADOW, Stage.LIVE), (Stage.LIVE, Stage.SHADOW)]


def test_the_last_stage_alone_ends_the_way_back() -> None:
    assert [s for s in Stage if s.ends_the_way_back] == [Stage.COMPLETE]
    assert Stage.COMPLETE.following is None
    assert Stage.COMPLETE.way_back is None


@pytest.mark.parametrize(
    ("here", "to", "passed"),
    [
        (Stage.RAMPDOWN, Stage.DUALWRITE, (Stage.LIVE, Stage.SHADOW, Stage.DUALWRITE)),
        (Stage.LIVE, Stage.SHADOW, (Stage.SHADOW,)),
        (Stage.LIVE, Stage.OFF, ()),
        (Stage.LIVE, Stage.LIVE, ()),
        (Stage.SHADOW, Stage.LIVE, ()),
        (Stage.COMPLETE, Stage.LIVE, ()),
        (Stage.OFF, Stage.OFF, ()),
    ],
)
def test_the_way_back_passes_every_stage_between(here: Stage, to: Stage, passed: tuple[Stage, ...]) -> None:
    assert here.steps_back_to(to) == passed


def test_only_the_stages_between_off_and_complete_mirror() -> None:
    assert [s for s in Stage if not s.mirrors] == [Stage.OFF, Stage.COMPLETE]


def test_an_unknown_store_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="'oracle'; valid: registry, screener"):
        store_named("oracle")


def test_an_unknown_stage_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="'gone'; valid: complete, dualwrite, live, off, rampdown, shadow"):
        stage_named("gone")
