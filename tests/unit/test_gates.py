"""Which gates a change of stage asks for, which of them may be forced, and what a validation run proves."""

from dataclasses import replace
from itertools import pairwise

import pytest

from dualwrite.control.gates import GateName, asked, never_forced
from dualwrite.control.lag import watch
from dualwrite.control.proof import proves, unproven
from dualwrite.exceptions import UsageError
from dualwrite.models import ValidationRun
from dualwrite.stages import Role, Stage, Store
from dualwrite.switch import State

FOLLOWING = ("capture", "pair", "backfill", "relaying", "canary", "validation", "parked", "lag")
SCREENER = State(Store.SCREENER, Role.AUTHORITY, epoch=3, capture=True, generation=7, backfilled=True)
PASSED = ValidationRun(pk=1, status="passed", level="strict", generation=7, authority="screener")


@pytest.mark.parametrize(
    ("before", "after", "gates"),
    [
        ("off", "dualwrite", ("capture", "pair")),
        ("dualwrite", "shadow", FOLLOWING),
        ("shadow", "live", (*FOLLOWING, "way_back")),
        ("live", "rampdown", FOLLOWING),
        ("rampdown", "complete", FOLLOWING),
        ("live", "shadow", FOLLOWING),
        ("shadow", "dualwrite", ()),
        ("rampdown", "live", ()),
    ],
)
def test_each_change_asks_for_its_gates(before: str, after: str, gates: tuple[str, ...]) -> None:
    assert asked(Stage(before), Stage(after)) == gates


def test_several_steps_ask_for_the_gates_of_all_of_them() -> None:
    assert asked(Stage.OFF, Stage.LIVE) == asked(Stage.SHADOW, Stage.LIVE)
    assert asked(Stage.RAMPDOWN, Stage.DUALWRITE) == asked(Stage.LIVE, Stage.SHADOW)


@pytest.mark.parametrize(
    ("before", "after"), [("complete", "rampdown"), ("complete", "live"), ("dualwrite", "off"), ("live", "live")]
)
def test_where_no_way_leads_nothing_is_asked(before: str, after: str) -> None:
    with pytest.raises(UsageError, match=f"no way leads from stage {before} to {after}"):
        asked(Stage(before), Stage(after))


def test_every_way_that_stages_know_has_its_gates() -> None:
    for before in Stage:
        for after in before.may_become:
            assert isinstance(asked(before, after), tuple)
    assert asked(Stage.OFF, Stage.COMPLETE) == tuple(GateName)
    assert [after in before.may_become for before, after in pairwise(Stage)] == [True] * 5


def test_only_what_the_switch_relies_on_is_never_forced() -> None:
    always = {"capture", "pair", "backfill"}
    for before, after in [("dualwrite", "shadow"), ("live", "rampdown"), ("shadow", "dualwrite"), ("live", "shadow")]:
        assert never_forced(Stage(before), Stage(after)) == always
    for before, after in [("shadow", "live"), ("rampdown", "complete")]:
        assert never_forced(Stage(before), Stage(after)) == always | {"relaying"}


def test_a_clean_strict_run_of_this_generation_and_authority_proves() -> None:
    assert proves(PASSED, SCREENER)
    assert unproven(PASSED, SCREENER, 59, 60) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "warning"}, "validation 1 ended as warning"),
        ({"status": "failed"}, "validation 1 ended as failed"),
        ({"status": "cancelled"}, "validation 1 ended as cancelled"),
        ({"status": "skipped"}, "validation 1 ended as skipped"),
        ({"level": "detailed"}, "validation 1 was at level detailed, of whole; only strict of the whole stream proves"),
        ({"level": "basic"}, "validation 1 was at level basic, of whole"),
        ({"scope": "slice 1/48"}, "validation 1 was at level strict, of slice 1/48"),
        ({"generation": 6}, "validation 1 is about an earlier time"),
        ({"authority": "registry"}, "validation 1 is about an earlier time"),
    ],
)
def test_a_run_that_is_otherwise_proves_nothing(change: dict[str, object], why: str) -> None:
    run = ValidationRun(
        **{"pk": 1, "status": "passed", "level": "strict", "generation": 7, "authority": "screener"} | change
    )
    assert not proves(run, SCREENER)
    assert why in unproven(run, SCREENER, 1, 60)


def test_without_a_complete_backfill_nothing_is_proven() -> None:
    assert not proves(PASSED, replace(SCREENER, backfilled=False))


@pytest.mark.parametrize("age", [60, 61, -61])
def test_an_old_run_and_one_from_the_future_count_no_longer(age: float) -> None:
    assert "more than 60 s" in unproven(PASSED, SCREENER, age, 60)


def test_one_look_is_taken_without_a_soak_time() -> None:
    looks = iter([0.1])
    seen = watch(lambda: next(looks), limit=5, soak=0)
    assert (seen.samples, seen.highest_seconds) == (1, 0.1)


def test_watching_ends_at_the_first_high_lag_and_remembers_it() -> None:
    looks = iter([0.1, 6.0])
    seen = watch(lambda: next(looks), limit=5, soak=60)
    assert (seen.samples, seen.highest_seconds) == (2, 6.0)
