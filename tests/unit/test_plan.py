"""The plan has sentences for every step there is, and says the worst first."""

import pytest

from dualwrite.control.plan import Facts, disabling, numbered, pausing, plan, resuming
from dualwrite.stages import Stage, Store

FACTS = Facts("things", epoch=6, pending="12 keys", lock_seconds=30.0, switch_seconds=5.0)
STEPS = [(before, after) for before in Stage for after in before.may_become]


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_every_step_has_a_plan_that_ends_with_the_stage(before: Stage, after: Stage) -> None:
    sentences = plan(before, after, FACTS)
    assert sentences[-1] == f"The stage of things becomes {after}."
    assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize(("before", "after"), [step for step in STEPS if step[0].switches_to(step[1])])
def test_a_switch_says_in_which_store_and_how_long_at_most(before: Stage, after: Stage) -> None:
    text = "\n".join(plan(before, after, FACTS))
    old, new = before.authority, after.authority
    assert f"{old}: writers of things wait, for 5 s at most" in text
    assert f"{old}: fenced at epoch 7" in text
    assert f"{new}: takes the writes, at epoch 7" in text
    assert "(12 keys now)" in text


def test_the_last_step_says_first_that_no_way_leads_back() -> None:
    assert plan(Stage.RAMPDOWN, Stage.COMPLETE, FACTS)[0].startswith("There is no way back from complete")


@pytest.mark.parametrize(
    ("sentences", "cost"),
    [
        (pausing("things"), "falls behind"),
        (resuming("things", force=True), "deletes"),
        (disabling("things", Store.REGISTRY), "do not reach the screener"),
    ],
)
def test_a_verb_within_a_stage_says_last_what_it_costs(sentences: list[str], cost: str) -> None:
    assert cost in sentences[-1]
    assert not any(cost in sentence for sentence in sentences[:-1])


def test_resuming_what_nothing_held_costs_nothing() -> None:
    assert resuming("things", force=False) == ["The relay of things goes on with what waits."]


def test_sentences_are_numbered_from_one() -> None:
    assert numbered(["A.", "B."]) == ["1. A.", "2. B."]
