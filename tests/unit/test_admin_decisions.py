"""Which verbs of a stream's page are of use, why another is not, and how evidence is put in short."""

import pytest

from dualwrite.admin.reading import facts, shown_gates
from dualwrite.admin.standing import Standing
from dualwrite.admin.verbs import Verb, meaning, needs_reason, shown, unavailable
from dualwrite.control.half_done import SETTLES
from dualwrite.stages import Stage

FOLLOWING = Standing("s", Stage.SHADOW, "active")


def available(standing: Standing) -> set[str]:
    """The verbs that can be used."""
    return {verb.value for verb in shown(standing) if not unavailable(verb, standing)}


@pytest.mark.parametrize(
    ("standing", "verbs"),
    [
        (Standing("s", Stage.OFF, "off", never_enabled=True), {"enable", "advance"}),
        (Standing("s", Stage.OFF, "off", may_not_enable="forbidden"), set()),
        (Standing("s", Stage.DUALWRITE, "active"), {"pause", "disable", "advance"}),
        (FOLLOWING, {"pause", "disable", "advance", "rollback"}),
        (Standing("s", Stage.LIVE, "paused", paused=True), {"resume", "disable", "advance", "rollback"}),
        (Standing("s", Stage.LIVE, "paused", held_because="x"), {"pause", "resume", "disable", "advance", "rollback"}),
        (Standing("s", Stage.RAMPDOWN, "disabled"), {"enable", "pause", "advance", "rollback"}),
        (Standing("s", Stage.COMPLETE, "off"), set()),
        # The other store is another database, or no mirror: enabling mends that.
        (Standing("s", Stage.DUALWRITE, "active", is_pair=False), {"enable", "pause", "disable", "advance"}),
        # Nothing can be asked: the emergency stop stays.
        (Standing("s", Stage.SHADOW, None), {"enable", "pause", "disable", "advance", "rollback"}),
    ],
)
def test_each_standing_leaves_the_verbs_that_are_of_use(standing: Standing, verbs: set[str]) -> None:
    assert available(standing) == verbs


def test_what_settling_ends_is_settled_and_what_enabling_ends_is_enabled() -> None:
    left = Standing("s", Stage.SHADOW, "active", half_done=f"switch: fenced; {SETTLES}")
    assert {"settle", "enable"} & available(left) == {"settle"}
    assert shown(left)[0] is Verb.SETTLE
    backfill = Standing("s", Stage.DUALWRITE, "active", half_done="enable: the backfill is not complete")
    assert {"settle", "enable"} & available(backfill) == {"enable"}


def test_while_somebody_is_at_work_only_what_waits_for_nobody_can_be_used() -> None:
    busy = Standing("s", Stage.SHADOW, "active", half_done="advance, by x, is under way", under_way=True)
    assert available(busy) == {"pause", "disable"}
    assert unavailable(Verb.ADVANCE, busy) == "advance, by x, is under way"
    beginning = Standing("s", Stage.OFF, "off", under_way=True)
    assert "disable" in available(beginning), "an enable under way can be stopped"
    assert unavailable(Verb.ENABLE, beginning) == "another verb is under way"


def test_a_reason_is_needed_for_the_way_back_and_for_the_end_of_it() -> None:
    assert needs_reason(Verb.ROLLBACK, Stage.DUALWRITE)
    assert needs_reason(Verb.ADVANCE, Stage.COMPLETE)
    assert not needs_reason(Verb.ADVANCE, Stage.LIVE)
    assert not any(needs_reason(verb, None) for verb in Verb if verb is not Verb.ROLLBACK)


def test_every_verb_has_a_meaning_at_every_stage() -> None:
    for stage in Stage:
        assert all(meaning(verb, Standing("s", stage, "active")) for verb in Verb)


def test_nested_evidence_is_told_flat_and_without_what_is_empty() -> None:
    evidence = {"a": {"b_c": 1, "none": None}, "yes": True, "no": False, "zero": 0, "list": [1, {"x": 2}], "empty": []}
    assert list(facts(evidence)) == [("a b c", "1"), ("yes", "yes"), ("no", "no"), ("zero", "0"), ("list", "1; x 2")]


def test_a_gate_of_an_older_form_can_still_be_shown() -> None:
    (gate,) = shown_gates([{"gate": "way_back"}])
    assert (gate.name, gate.passed, gate.facts, gate.line) == ("way back", False, [], "")
