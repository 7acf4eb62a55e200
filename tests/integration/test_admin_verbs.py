"""Streams are moved through all their stages in the admin: what is asked, what is done, and who is remembered."""

import re
import threading
from collections.abc import Iterator

import pytest

from dualwrite import failpoints, switch
from dualwrite.control import transition
from dualwrite.control.pause import pause
from dualwrite.models import StageTransition, StreamControl
from dualwrite.relay import worker
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration.admin_site import FORCE, OPERATE, Operator
from tests.integration.moving import bring, proven, quick, relay_at_work
from tests.integration.test_transition import advanced_until, brought
from tests.support import add, at_work, enabled, fill, one, tampered

REASON = "the big day"


@pytest.fixture(autouse=True)
def _ready(screener: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick(monkeypatch)
    add(screener, "FIRST")
    yield
    failpoints.clear()


@pytest.fixture
def anna(stores: None) -> Operator:
    """May use every verb, and force nothing."""
    return Operator(OPERATE)


def audited(registry: Session, verb: str) -> list[tuple[str, str]]:
    """Actor and reason of each line with that verb."""
    return [
        (str(actor), str(reason))
        for actor, reason in registry.execute(
            "SELECT actor, reason FROM dualwrite.audit WHERE verb = %s ORDER BY id", (verb,)
        ).fetchall()
    ]


def buttons(page: str) -> dict[str, str]:
    """Label of each button → why it cannot be used, empty when it can."""
    found = re.findall(r'<div class="dw-verb">\s*<(button|a) [^>]*>([^<]*)</\1>\s*<p[^>]*>([^<]*)</p>', page)
    return {label: why if tag == "button" else "" for tag, label, why in found}


def submits(page: str) -> bool:
    """Whether the page has a form that can be sent."""
    return 'type="submit"' in page.split('id="content"')[1]


def test_every_stage_forward_and_back_and_the_audit_knows_the_user(
    registry: Session, memberships: Stream, anna: Operator
) -> None:
    with relay_at_work(memberships):
        assert "off → dualwrite; the authority has 1 rows" in anna.confirms("enable", reason=REASON)
        for after in (Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN):
            proven(memberships)
            assert f"success: Stream index_memberships: {after.way_back} → {after}" in anna.confirms("advance")
            assert transition.stage_of(memberships) is after
        proven(memberships)
        assert "rampdown → live" in anna.confirms("rollback", reason=REASON)
        message = anna.confirms("rollback", reason=REASON)
        assert re.search(r"live → shadow; writers waited \d+ ms; transition \d+", message)
    assert switch.authority(memberships).store is Store.SCREENER
    assert audited(registry, "rollback") == [("anna", REASON)] * 2
    assert audited(registry, "advance") == [("anna", "")] * 3
    assert audited(registry, "fence") == [("anna", REASON)]
    assert {row.actor for row in StageTransition.objects.all()} == {"anna"}


def test_advancing_from_off_is_enabling(registry: Session, memberships: Stream, anna: Operator) -> None:
    page = anna.asks("advance")
    assert "every key of both stores is noted once" in page
    assert "manage.py dualwrite advance --stream index_memberships --to dualwrite" in page
    assert "off → dualwrite" in anna.confirms("advance")
    assert transition.stage_of(memberships) is Stage.DUALWRITE


def test_going_back_several_stages_is_planned_and_done_as_one(memberships: Stream, anna: Operator) -> None:
    with relay_at_work(memberships):
        bring(memberships, Stage.RAMPDOWN)
        proven(memberships)
        assert '<a href="?to=dualwrite">dualwrite</a>' in anna.asks("rollback")
        page = anna.asks("rollback", to="dualwrite")
        assert page.index("becomes live") < page.index("becomes shadow") < page.index("becomes dualwrite")
        assert "The writes move from the registry to the screener store" in page
        assert "rampdown → dualwrite; writers waited" in anna.confirms("rollback", to="dualwrite", reason=REASON)
    assert switch.authority(memberships).store is Store.SCREENER


def test_complete_says_first_that_there_is_no_way_back_and_then_nothing_is_left_to_do(
    memberships: Stream, anna: Operator
) -> None:
    with relay_at_work(memberships):
        bring(memberships, Stage.RAMPDOWN)
        proven(memberships)
        page = anna.asks("advance")
        assert page.index("There is no way back from complete") < page.index("What is done")
        refused = anna.is_refused("advance", anna.form("advance"))
        assert "A reason is needed; it is kept." in refused.content.decode()
        assert transition.stage_of(memberships) is Stage.RAMPDOWN
        assert "rampdown → complete" in anna.confirms("advance", reason=REASON)
    assert buttons(anna.looks()) == {
        "Enable": "At complete the old store is no part of the stream any more.",
        "Pause": "Nothing is mirrored, so there is nothing to pause.",
        "Resume": "It is not paused.",
        "Disable": "Writes are not noted, so there is nothing to disable.",
        "Advance": "Complete is the last stage.",
        "Roll back": "No way leads back from complete: the old store has not followed since.",
    }
    assert not submits(anna.asks("rollback"))
    assert "no way leads back" in anna.sends("rollback", {"seen": "complete", "to": "rampdown", "reason": REASON})


def test_the_page_says_for_each_verb_why_it_cannot_be_used(memberships: Stream, anna: Operator) -> None:
    off = buttons(anna.looks())
    assert (off["Enable"], off["Advance"]) == ("", "")
    assert off["Roll back"] == "No way leads back from off."
    enabled(memberships)
    following = buttons(anna.looks())
    assert following == {
        "Enable": "It is enabled already.",
        "Pause": "",
        "Resume": "It is not paused.",
        "Disable": "",
        "Advance": "",
        "Roll back": "No way leads back from dualwrite; disable ends mirroring.",
    }
    pause(memberships, TESTER)
    paused = buttons(anna.looks())
    assert (paused["Pause"], paused["Resume"]) == ("It is paused already.", "")


def test_enabling_that_is_not_allowed_says_which_parameter_forbids_it(
    anna: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED", "false")
    found = buttons(anna.looks())
    assert found["Enable"] == found["Advance"]
    assert "INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED is false" in found["Enable"]
    assert "INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED is false" in anna.sends("enable", {"seen": "off"})


def test_pause_resume_disable_and_enable_are_done_and_a_second_time_change_nothing(
    registry: Session, memberships: Stream, anna: Operator
) -> None:
    enabled(memberships)
    for verb, said, again in (
        ("pause", "paused; writes go on being noted", "paused already"),
        ("resume", "resumed", "was not paused"),
        ("disable", "disabled; writes to the screener store are no longer noted", "not noted already"),
        ("enable", "enabled again at dualwrite", "enabled already"),
    ):
        form = anna.form(verb) | {"reason": REASON}
        assert anna.sends(verb, form).startswith(f"success: Stream index_memberships: {said}")
        message = anna.sends(verb, form)
        assert message.startswith("info: ")
        assert again in message
        assert (anna.name, REASON) in audited(registry, verb), verb
    assert switch.authority(memberships).capture


def test_what_the_brake_holds_goes_on_only_forced_with_a_reason(memberships: Stream, anna: Operator) -> None:
    enabled(memberships)
    StreamControl.objects.update(held_because="the relay would delete 9,000 rows")
    page = anna.asks("resume")
    assert "The relay would delete 9,000 rows" in page
    assert not submits(page)
    assert "go on with --force" in anna.sends("resume", {"seen": "dualwrite"})
    chief = Operator(OPERATE, FORCE, name="chief")
    assert "resumed" in chief.confirms("resume", force="on", reason=REASON)
    assert not StreamControl.objects.get().held_because


def test_enabling_over_a_mirror_that_would_lose_many_rows_is_done_only_forced(
    screener: Session, registry: Session, memberships: Stream, anna: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BRAKE_DELETE_ROWS", "3")
    fill(screener, 20)
    enabled(memberships)
    anna.confirms("disable")
    screener.execute("DELETE FROM index_memberships WHERE index_name = 'X'")
    page = anna.asks("enable")
    assert "20 rows of the mirror would be deleted, more than 3: is it the right store?" in page
    assert not submits(page)
    chief = Operator(OPERATE, FORCE, name="chief")
    assert "more than 3 deletes need" in chief.confirms("enable")
    assert "enabled again at dualwrite" in chief.confirms("enable", force="on", reason=REASON)
    worker.drain(memberships)
    assert one(registry, "SELECT count(*) FROM index_memberships WHERE is_active") == 1


def test_what_was_left_half_done_is_told_and_settled(memberships: Stream, anna: Operator) -> None:
    brought(memberships, Stage.SHADOW)
    assert "Settle" not in buttons(anna.looks())
    advanced_until("switch promoted", memberships)
    page = anna.looks()
    assert "advance shadow → live, by test" in page
    assert "was left half-done" in page
    assert buttons(page)["Settle"] == ""
    assert "is finished when everything had been relayed" in anna.asks("settle")
    assert "settled; the stage is live" in anna.confirms("settle")
    assert "Settle" not in buttons(anna.looks())
    assert "nothing to settle; the stage is live" in anna.sends("settle", {"seen": "live"})


def test_while_somebody_is_at_work_the_verbs_wait_and_say_for_whom(memberships: Stream, anna: Operator) -> None:
    """Held where the first has the lock and its row: a second form, sent just then, is told who it is."""
    brought(memberships, Stage.DUALWRITE)
    bert = Operator(OPERATE, name="bert")
    mine, theirs = anna.form("advance"), bert.form("advance")
    recorded, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        recorded.set()
        assert go_on.wait(30)

    with relay_at_work(memberships):
        failpoints.at("transition recorded", wait)
        with at_work(lambda: anna.sends("advance", mine)) as first:
            try:
                assert recorded.wait(30)
                found = buttons(bert.looks())
                for label in ("Enable", "Advance", "Roll back", "Settle"):
                    assert "by anna since" in found[label], label
                assert "by anna since" in bert.sends("advance", theirs)
            finally:
                go_on.set()
            assert "dualwrite → shadow" in first.result()
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_a_mirror_changed_behind_the_relays_back_shows_as_rows_that_enabling_would_overwrite(
    registry: Session, memberships: Stream, anna: Operator
) -> None:
    enabled(memberships)
    tampered(registry, "UPDATE index_memberships SET sector = 'wrong'")
    anna.confirms("disable")
    page = anna.asks("enable")
    assert "1 rows of the mirror are overwritten, 0 deleted" in page
    assert submits(page)
