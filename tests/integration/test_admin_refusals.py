"""What the admin does not do: nothing on a look, nothing without permission, reason, token or open gates."""

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from dualwrite import failpoints, switch
from dualwrite.control import transition
from dualwrite.models import StageTransition, StreamControl
from dualwrite.stages import Stage, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.integration import away
from tests.integration.admin_site import FORCE, HERE, LOOK, OPERATE, STREAMS, VERBS, Operator
from tests.integration.moving import bring, proven, quick, relay_at_work
from tests.integration.test_operator_input import everything
from tests.integration.test_transition import advanced_until, brought
from tests.support import add, enabled

REASON = "it must be"
FORCE_BOX = 'name="force"'
SUBMIT = 'type="submit"'


@pytest.fixture(autouse=True)
def _ready(screener: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick(monkeypatch)
    add(screener, "FIRST")
    yield
    failpoints.clear()


def all_rows(*sessions: Session) -> list[object]:
    """Everything the engine keeps, transitions included."""
    return [*everything(*sessions), list(StageTransition.objects.order_by("id").values())]


def test_a_refused_permission_is_one_line_in_the_log(memberships: Stream, caplog: pytest.LogCaptureFixture) -> None:
    StreamControl.objects.create(stream=memberships.name)
    assert Operator(LOOK).client.get(f"{HERE}/pause/").status_code == 403
    lines = [record for record in caplog.records if record.name == "django.request"]
    pattern = "/admin/dualwrite/streamcontrol/<path:object_id>/pause/"
    assert [record.getMessage() for record in lines] == [f"Forbidden (Permission denied): {pattern}"]
    assert "Traceback" not in caplog.text


def content(page: str) -> str:
    """The page without the head, which has a form of its own to log out."""
    return page.split('id="content"')[1]


def test_whoever_may_only_look_sees_the_page_without_buttons_and_can_do_nothing(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    before = all_rows(screener, registry)
    looker = Operator(LOOK)
    page = looker.looks()
    assert "the screener store takes the writes" in page
    assert "dw-verb" not in content(page)
    for verb in VERBS:
        assert looker.client.get(f"{HERE}/{verb}/").status_code == 403, verb
        fields = {"seen": "dualwrite", "to": "shadow", "reason": REASON}
        assert looker.is_refused(verb, fields).status_code == 403, verb
    assert all_rows(screener, registry) == before


def test_whoever_may_not_even_look_is_refused_and_a_stranger_is_sent_to_log_in(stores: None) -> None:
    nobody = Operator()
    for path in (STREAMS, f"{HERE}/change/", f"{HERE}/advance/"):
        assert nobody.client.get(path).status_code == 403, path
        answer = Client().get(path)
        assert answer.status_code == 302, path
        assert "/admin/login/" in answer["Location"]
    assert Client().post(f"{HERE}/disable/", {"seen": "off"}).status_code == 302


@pytest.mark.parametrize("standing", ["off", "dualwrite", "disabled", "half-done"])
def test_a_look_changes_nothing(screener: Session, registry: Session, memberships: Stream, standing: str) -> None:
    if standing == "half-done":
        brought(memberships, Stage.SHADOW)
        advanced_until("switch promoted", memberships)
    elif standing != "off":
        enabled(memberships)
    if standing == "disabled":
        Operator(OPERATE, name="bert").confirms("disable")
    chief = Operator(OPERATE, FORCE)
    before = all_rows(screener, registry)
    for path in (STREAMS, f"{HERE}/change/", *(f"{HERE}/{verb}/" for verb in VERBS)):
        assert chief.client.get(path).status_code == 200, path
        assert chief.client.head(path).status_code == 200, path
    for verb in VERBS:
        assert chief.client.put(f"{HERE}/{verb}/").status_code == 405, verb
    assert all_rows(screener, registry) == before


def test_a_rollback_without_a_reason_is_asked_for_one(memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    anna = Operator(OPERATE)
    for reason in ("", "   "):
        answer = anna.is_refused("rollback", anna.form("rollback") | {"reason": reason})
        assert answer.status_code == 200
        assert "A reason is needed; it is kept." in answer.content.decode()
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_force_without_a_reason_is_asked_for_one(memberships: Stream) -> None:
    enabled(memberships)
    chief = Operator(OPERATE, FORCE)
    answer = chief.is_refused("advance", chief.form("advance") | {"force": "on"})
    page = content(answer.content.decode())
    assert "A reason is needed; it is kept." in page
    assert 'name="force" id="id_force" checked' in page.replace(' aria-invalid="true"', ""), "what was filled in stays"
    assert transition.stage_of(memberships) is Stage.DUALWRITE


def test_closed_gates_are_shown_with_what_mends_them_and_forced_only_with_the_permission(
    memberships: Stream,
) -> None:
    enabled(memberships)
    anna, chief = Operator(OPERATE), Operator(OPERATE, FORCE, name="chief")
    page = content(anna.asks("advance"))
    assert "The gate validation is closed: no strict validation has finished yet." in page
    assert "<code>manage.py run_validation --stream index_memberships --level strict</code>" in page
    assert "may be overridden by somebody with the permission to force" in page
    assert FORCE_BOX not in page
    assert SUBMIT not in page
    fields = {"seen": "dualwrite", "to": "shadow", "reason": REASON}
    assert anna.is_refused("advance", fields | {"force": "on"}).status_code == 403
    with relay_at_work(memberships):
        assert "error: A gate is closed" in anna.sends("advance", fields)
        assert transition.stage_of(memberships) is Stage.DUALWRITE
        assert FORCE_BOX in content(chief.asks("advance"))
        assert "dualwrite → shadow" in chief.confirms("advance", force="on", reason=REASON)
    row = StageTransition.objects.get(after="shadow")
    assert (row.actor, row.reason, row.forced) == ("chief", REASON, True)


def test_a_gate_that_is_never_forced_leaves_nothing_to_confirm(screener: Session, memberships: Stream) -> None:
    brought(memberships, Stage.SHADOW)
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER dualwrite_b_insert")
    chief = Operator(OPERATE, FORCE)
    page = content(chief.asks("advance"))
    assert "<strong>closed</strong>, never forced" in page
    assert FORCE_BOX not in page
    assert SUBMIT not in page
    fields = {"seen": "shadow", "to": "live", "reason": REASON, "force": "on"}
    assert "dualwrite_b_insert" in chief.sends("advance", fields)
    assert switch.authority(memberships).store is Store.SCREENER


def test_where_every_gate_is_open_there_is_nothing_to_force(memberships: Stream) -> None:
    brought(memberships, Stage.DUALWRITE)
    with relay_at_work(memberships):
        proven(memberships)
        page = content(Operator(OPERATE, FORCE).asks("advance"))
    assert SUBMIT in page
    assert FORCE_BOX not in page


def test_a_form_sent_twice_moves_the_stream_once(memberships: Stream) -> None:
    anna = Operator(OPERATE)
    with relay_at_work(memberships):
        bring(memberships, Stage.DUALWRITE)
        proven(memberships)
        form = anna.form("advance")
        assert "success" in anna.sends("advance", form)
        again = anna.sends("advance", form)
        assert again.startswith("error: ")
        assert "is at stage shadow, and was at dualwrite when the page was shown" in again
        assert transition.stage_of(memberships) is Stage.SHADOW
        proven(memberships)
        assert "one stage at a time" in anna.sends("advance", form | {"seen": "shadow"}), (
            "not even where only `to` tells"
        )
    assert transition.stage_of(memberships) is Stage.SHADOW


def test_a_form_that_does_not_say_what_was_confirmed_is_not_taken(memberships: Stream) -> None:
    enabled(memberships)
    anna = Operator(OPERATE)
    incomplete: tuple[dict[str, str], ...] = (
        {"seen": "dualwrite"},
        {"seen": "x", "to": "shadow"},
        {"to": "shadow"},
        {},
    )
    for fields in incomplete:
        answer = anna.is_refused("advance", fields)
        assert answer.status_code == 200
        assert "It cannot be told which page was confirmed" in answer.content.decode()
    assert transition.stage_of(memberships) is Stage.DUALWRITE


def test_a_stage_that_is_none_or_not_the_next_one_is_answered_with_the_valid_one(memberships: Stream) -> None:
    enabled(memberships)
    anna = Operator(OPERATE)
    assert "valid: complete, dualwrite, live, off, rampdown, shadow" in anna.asks("advance", to="nonsense")
    assert "valid: --to shadow" in anna.asks("advance", to="complete")
    assert "valid: --to shadow" in anna.sends("advance", {"seen": "dualwrite", "to": "live"})


def test_a_form_without_the_sites_token_is_refused(memberships: Stream) -> None:
    enabled(memberships)
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.create_superuser("anna"))
    assert client.post(f"{HERE}/pause/", {"seen": "dualwrite"}).status_code == 403
    assert not StreamControl.objects.get().paused
    client.get(f"{HERE}/pause/")
    fields = {"seen": "dualwrite", "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert client.post(f"{HERE}/pause/", fields).status_code == 302
    assert StreamControl.objects.get().paused


def test_a_store_that_is_away_is_told_in_a_sentence_and_the_pages_still_come(
    memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled(memberships)
    anna = Operator(OPERATE)
    away.move(Store.SCREENER, away.CLOSED_PORT, monkeypatch)
    assert "index_memberships" in anna.client.get(STREAMS).content.decode()
    page = anna.looks()
    assert "A database cannot be reached: screener" in page
    for verb in ("advance", "disable"):
        asked = content(anna.asks(verb))
        assert "A database cannot be reached: screener" in asked, verb
        assert SUBMIT not in asked
    fields = {"seen": "dualwrite", "to": "shadow"}
    assert anna.sends("advance", fields).startswith("error: A database cannot be reached: screener")
    assert anna.sends("disable", fields).startswith("error: A database cannot be reached: screener")


def test_another_database_than_the_paired_one_is_taken_only_forced_and_after_a_warning(
    registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    registry.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    anna, chief = Operator(OPERATE), Operator(OPERATE, FORCE, name="chief")
    page = content(anna.asks("enable"))
    assert "was paired with another registry database" in page
    assert "docs/runbooks/store-went-back.md" in page
    assert SUBMIT not in page
    assert "was paired with another" in chief.confirms("enable")
    chief.confirms("enable", force="on", reason=REASON)
    switch.require_pair()
