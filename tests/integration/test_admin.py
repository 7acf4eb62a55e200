"""The engine's rows in the admin: readable, linked to each other, and nothing can be changed."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from dualwrite import switch
from dualwrite.models import Audit, ParkedKey, StageTransition, StreamControl, ValidationRun
from dualwrite.stages import Store
from tests.conftest import TESTER

ROWS = ["stagetransition", "parkedkey", "validationrun", "audit"]
MODELS = ["streamcontrol", *ROWS]
GATES = [
    {"gate": "capture", "passed": True, "why": "", "mend": "", "evidence": {"screener": {"version": 3}}},
    {
        "gate": "validation",
        "passed": False,
        "why": "none has <finished>",
        "mend": "manage.py run_validation",
        "evidence": {"max_age_seconds": 3600.0, "keys": ["a", "b"], "none": None},
        "forcible": True,
    },
]


@pytest.fixture
def operator(stores: None, client: Client) -> Client:
    """A superuser's session."""
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


@pytest.fixture
def rows(stores: None) -> dict[str, object]:
    """A row of each model; model name → primary key."""
    StreamControl.objects.create(stream="index_memberships", stage="dualwrite")
    step = StageTransition.objects.create(
        stream="index_memberships", before="shadow", after="live", status="done", actor="anna", gates=GATES
    )
    parked = ParkedKey.objects.create(
        stream="instruments", key='["NSE:X"]', error="no symbol", record=[{"symbol": "<script>x</script>"}]
    )
    differences = [{"kind": "missing", "key": '["NSE:X"]'}]
    run = ValidationRun.objects.create(
        stream="instruments",
        level="strict",
        status="failed",
        generation=1,
        authority="screener",
        missing_in_mirror=1,
        differences=differences,
    )
    switch.audit(Store.REGISTRY, TESTER, "pause", "instruments", {"why": "tested", "transition": step.pk})
    audit = Audit.objects.get(verb="pause")
    return {
        "streamcontrol": "index_memberships",
        "stagetransition": step.pk,
        "parkedkey": parked.pk,
        "validationrun": run.pk,
        "audit": audit.pk,
    }


def test_the_list_and_a_row_can_be_read(operator: Client, rows: dict[str, object]) -> None:
    for model in MODELS:
        listed = operator.get(f"/admin/dualwrite/{model}/")
        assert listed.status_code == 200
        assert b"/add/" not in listed.content.split(b'id="content"')[1]
        shown = operator.get(f"/admin/dualwrite/{model}/{rows[model]}/change/")
        assert shown.status_code == 200
        assert b'name="_save"' not in shown.content
        assert b"deletelink" not in shown.content


def test_nothing_can_be_added_changed_or_deleted(operator: Client, rows: dict[str, object]) -> None:
    for model in MODELS:
        here = f"/admin/dualwrite/{model}"
        for path in (f"{here}/add/", f"{here}/{rows[model]}/change/", f"{here}/{rows[model]}/delete/"):
            assert operator.post(path, {"stream": "other"}).status_code == 403, path


def test_search_and_filter_answer(operator: Client, rows: dict[str, object]) -> None:
    for model in ROWS:
        here = f"/admin/dualwrite/{model}/"
        found = operator.get(here, {"q": "in"})
        assert found.context["cl"].result_count >= 1
        assert operator.get(here, {"q": "nothing of the kind"}).context["cl"].result_count == 0
        assert operator.get(here, {"stream": "no such stream"}).context["cl"].result_count == 0


def test_json_is_shown_in_lines_and_escaped(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get(f"/admin/dualwrite/parkedkey/{rows['parkedkey']}/change/").content.decode()
    assert "&quot;symbol&quot;: &quot;&lt;script&gt;x&lt;/script&gt;&quot;" in page
    assert "<script>x" not in page
    audit = operator.get(f"/admin/dualwrite/audit/{rows['audit']}/change/").content.decode()
    assert "&quot;why&quot;: &quot;tested&quot;" in audit


def test_a_validation_run_shows_how_many_keys_differ(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get("/admin/dualwrite/validationrun/").content.decode()
    assert '<td class="field-differences_found">1</td>' in page


def test_a_transition_shows_its_gates_as_they_were_found(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get(f"/admin/dualwrite/stagetransition/{rows['stagetransition']}/change/").content.decode()
    assert "none has &lt;finished&gt;" in page
    assert "<code>manage.py run_validation</code>" in page
    assert "screener version 3" in page
    assert "keys a; b, max age seconds 3600.0</summary>" in page
    assert "advance shadow → live" in page


def test_every_row_leads_to_its_stream(operator: Client, rows: dict[str, object]) -> None:
    for model in ROWS:
        stream = "index_memberships" if model == "stagetransition" else "instruments"
        link = f'<a href="/admin/dualwrite/streamcontrol/{stream}/change/">{stream}</a>'
        for path in ("", f"{rows[model]}/change/"):
            assert link in operator.get(f"/admin/dualwrite/{model}/{path}").content.decode(), path


def test_a_line_of_the_audit_leads_to_its_transition(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get(f"/admin/dualwrite/audit/{rows['audit']}/change/").content.decode()
    assert f'<a href="/admin/dualwrite/stagetransition/{rows["stagetransition"]}/change/">' in page


def test_a_stream_leads_to_what_is_known_of_it(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get("/admin/dualwrite/streamcontrol/index_memberships/change/").content.decode()
    for model in ROWS:
        assert f'href="/admin/dualwrite/{model}/?stream=index_memberships"' in page
        assert operator.get(f"/admin/dualwrite/{model}/?stream=index_memberships").status_code == 200


def test_a_stream_does_not_lead_where_one_may_not_look(client: Client, rows: dict[str, object]) -> None:
    user = get_user_model().objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_streamcontrol"))
    client.force_login(user)
    page = client.get("/admin/dualwrite/streamcontrol/index_memberships/change/").content.decode()
    assert "index_memberships" in page
    assert "?stream=index_memberships" not in page


def test_every_declared_stream_is_listed_although_it_was_never_enabled(operator: Client) -> None:
    page = operator.get("/admin/dualwrite/streamcontrol/").content.decode()
    for name in ("index_memberships", "instruments"):
        assert f'<a href="/admin/dualwrite/streamcontrol/{name}/change/">{name}</a>' in page
        shown = operator.get(f"/admin/dualwrite/streamcontrol/{name}/change/").content.decode()
        assert "(never enabled)" in shown
    assert not StreamControl.objects.exists()


def test_a_control_row_of_a_stream_that_is_declared_no_more_is_listed(
    operator: Client, rows: dict[str, object]
) -> None:
    StreamControl.objects.create(stream="of old", stage="complete")
    page = operator.get("/admin/dualwrite/streamcontrol/").content.decode()
    assert '<th scope="row">of old</th><td>complete</td>' in page


def test_a_stream_that_is_not_declared_is_answered_with_those_that_are(operator: Client) -> None:
    for verb in ("change", "advance", "disable"):
        answer = operator.get(f"/admin/dualwrite/streamcontrol/nonsense/{verb}/", follow=True)
        assert answer.redirect_chain == [("/admin/dualwrite/streamcontrol/", 302)]
        assert "valid: index_memberships, instruments" in answer.content.decode()
