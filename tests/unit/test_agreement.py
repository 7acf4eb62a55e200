"""The stage that agrees with both stores, and how an interrupted transition is said to have ended."""

import pytest

from dualwrite.control.agreement import ending, stage_agreeing
from dualwrite.exceptions import (
    AuthorityUnknown,
    ConcurrentChange,
    DualWriteError,
    Refused,
    StoreUnreachable,
    TakenBack,
)
from dualwrite.models import TransitionStatus
from dualwrite.stages import Role, Stage, Store
from dualwrite.switch import State


def side(store: Store, role: Role, *, capture: bool = True) -> State:
    return State(store, role, 3, capture, 1, capture)


def rows(screener: Role, registry: Role, *, capture: bool = True) -> tuple[State, State]:
    return (
        side(Store.SCREENER, screener, capture=capture and screener is Role.AUTHORITY),
        side(Store.REGISTRY, registry, capture=capture and registry is Role.AUTHORITY),
    )


OLD = rows(Role.AUTHORITY, Role.MIRROR)
NEW = rows(Role.MIRROR, Role.AUTHORITY)


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW])
def test_a_stage_of_the_store_that_takes_the_writes_stays(stage: Stage) -> None:
    assert stage_agreeing(stage, *OLD) is stage


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN])
def test_so_does_one_of_the_new_store(stage: Stage) -> None:
    assert stage_agreeing(stage, *NEW) is stage


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN])
def test_when_the_old_store_takes_the_writes_the_stage_is_shadow_at_most(stage: Stage) -> None:
    assert stage_agreeing(stage, *OLD) is Stage.SHADOW


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.SHADOW])
def test_when_the_new_store_takes_them_it_is_live_at_least(stage: Stage) -> None:
    assert stage_agreeing(stage, *NEW) is Stage.LIVE


def test_an_interrupted_step_says_which_of_several_stages_it_is() -> None:
    assert stage_agreeing(Stage.LIVE, *OLD, step=(Stage.LIVE, Stage.SHADOW)) is Stage.SHADOW
    assert stage_agreeing(Stage.LIVE, *OLD, step=(Stage.DUALWRITE, Stage.LIVE)) is Stage.DUALWRITE


@pytest.mark.parametrize("stage", list(Stage))
def test_a_detached_old_store_means_complete_whatever_is_recorded(stage: Stage) -> None:
    assert stage_agreeing(stage, *rows(Role.DETACHED, Role.AUTHORITY)) is Stage.COMPLETE


def test_before_anything_was_enabled_the_stage_is_off() -> None:
    assert stage_agreeing(Stage.OFF, *rows(Role.AUTHORITY, Role.DETACHED, capture=False)) is Stage.OFF


def test_a_complete_backfill_means_dualwrite_and_a_half_done_one_does_not() -> None:
    assert stage_agreeing(Stage.OFF, *OLD) is Stage.DUALWRITE
    assert stage_agreeing(Stage.OFF, *rows(Role.AUTHORITY, Role.MIRROR, capture=False)) is Stage.OFF


@pytest.mark.parametrize("role", [Role.AUTHORITY, Role.MIRROR, Role.FENCED])
def test_two_stores_that_are_the_same_agree_with_no_stage(role: Role) -> None:
    with pytest.raises(AuthorityUnknown, match="screener is"):
        stage_agreeing(Stage.SHADOW, *rows(role, role))


@pytest.mark.parametrize(
    ("agreed", "because", "status"),
    [
        (Stage.LIVE, None, TransitionStatus.DONE),
        (Stage.LIVE, StoreUnreachable("lost"), TransitionStatus.DONE),
        (Stage.SHADOW, None, TransitionStatus.TAKEN_BACK),
        (Stage.SHADOW, TakenBack("slow"), TransitionStatus.TAKEN_BACK),
        (Stage.SHADOW, Refused("a writer"), TransitionStatus.REFUSED),
        (Stage.SHADOW, ConcurrentChange("settled"), TransitionStatus.TAKEN_BACK),
        (Stage.SHADOW, StoreUnreachable("lost"), TransitionStatus.TAKEN_BACK),
    ],
)
def test_how_a_switch_ended(agreed: Stage, because: DualWriteError | None, status: TransitionStatus) -> None:
    assert ending(Stage.SHADOW, Stage.LIVE, agreed, because) is status


def test_a_step_that_moves_no_authority_has_crashed_or_was_refused() -> None:
    assert ending(Stage.LIVE, Stage.RAMPDOWN, Stage.LIVE, None) is TransitionStatus.CRASHED
    assert ending(Stage.OFF, Stage.DUALWRITE, Stage.OFF, Refused("no")) is TransitionStatus.REFUSED
