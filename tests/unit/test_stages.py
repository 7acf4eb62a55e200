"""The words of the migration and what they allow."""

from itertools import pairwise

import pytest

from dualwrite.exceptions import UnknownName
from dualwrite.stages import Stage, Store, store_named


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


def test_only_the_stages_between_off_and_complete_mirror() -> None:
    assert [s for s in Stage if not s.mirrors] == [Stage.OFF, Stage.COMPLETE]


def test_an_unknown_store_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="'oracle'; valid: registry, screener"):
        store_named("oracle")
