"""From which load on a mirror is spared."""

import pytest

from dualwrite.relay.sparing import Limits, Load, decide
from dualwrite.stages import Store


@pytest.mark.parametrize(
    ("load", "limits", "why"),
    [
        (Load(8, 0), Limits(8, 30), ""),
        (Load(9, 0), Limits(8, 30), "9 sessions are at work in the registry store; the limit is 8"),
        (Load(900, 0), Limits(0, 30), ""),
        (Load(0, 30), Limits(8, 30), ""),
        (Load(0, 31.4), Limits(8, 30), "a replica of the registry store is 31 s behind; the limit is 30 s"),
        (Load(0, 9999), Limits(8, 0), ""),
    ],
)
def test_a_mirror_is_spared_above_its_limits(load: Load, limits: Limits, why: str) -> None:
    assert decide(Store.REGISTRY, load, limits) == why
