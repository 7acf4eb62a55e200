"""What each role of an API key covers."""

import pytest

from dualwrite.clearance import Clearance, clearance_named
from dualwrite.exceptions import UnknownName


def test_each_role_covers_itself_and_those_before_it() -> None:
    covered = [[has.covers(needed) for needed in Clearance] for has in Clearance]
    assert covered == [[True, False, False], [True, True, False], [True, True, True]]


def test_an_unknown_role_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="role 'boss'; valid: admin, operator, viewer"):
        clearance_named("boss")
