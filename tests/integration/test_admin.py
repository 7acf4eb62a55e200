"""The engine's rows in the admin: readable, and nothing can be changed."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from dualwrite import switch
from dualwrite.models import Audit, ParkedKey, StreamControl, ValidationRun
from dualwrite.stages import Store
from tests.conftest import TESTER

MODELS = ["streamcontrol", "parkedkey", "validationrun", "audit"]


@pytest.fixture
def operator(stores: None, client: Client) -> Client:
    """A superuser's session."""
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


@pytest.fixture
def rows(stores: None) -> dict[str, object]:
    """A row of each model; model name → primary key."""
    StreamControl.objects.create(stream="index_memberships", stage="dualwrite")
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
    switch.audit(Store.REGISTRY, TESTER, "pause", "instruments", {"why": "tested"})
    audit = Audit.objects.get(verb="pause")
    return {
        "streamcontrol": "index_memberships",
        "parkedkey": parked.pk,
        "validationrun": run.pk,
        "audit": audit.pk,
    }


@pytest.mark.parametrize("model", MODELS)
def test_the_list_and_a_row_can_be_read(operator: Client, rows: dict[str, object], model: str) -> None:
    listed = operator.get(f"/admin/dualwrite/{model}/")
    assert listed.status_code == 200
    assert b"/add/" not in listed.content.split(b'id="content"')[1]
    shown = operator.get(f"/admin/dualwrite/{model}/{rows[model]}/change/")
    assert shown.status_code == 200
    assert b'name="_save"' not in shown.content
    assert b"deletelink" not in shown.content


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted(operator: Client, rows: dict[str, object], model: str) -> None:
    here = f"/admin/dualwrite/{model}"
    for path in (f"{here}/add/", f"{here}/{rows[model]}/change/", f"{here}/{rows[model]}/delete/"):
        assert operator.post(path, {"stream": "other"}).status_code == 403, path


@pytest.mark.parametrize("model", MODELS)
def test_search_and_filter_answer(operator: Client, rows: dict[str, object], model: str) -> None:
    found = operator.get(f"/admin/dualwrite/{model}/", {"q": "instruments"})
    assert found.status_code == 200
    assert operator.get(f"/admin/dualwrite/{model}/", {"q": "nothing of the kind"}).context["cl"].result_count == 0


def test_json_is_shown_in_lines_and_escaped(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get(f"/admin/dualwrite/parkedkey/{rows['parkedkey']}/change/").content.decode()
    assert "&quot;symbol&quot;: &quot;&lt;script&gt;x&lt;/script&gt;&quot;" in page
    assert "<script>x" not in page
    audit = operator.get(f"/admin/dualwrite/audit/{rows['audit']}/change/").content.decode()
    assert "{\n  &quot;why&quot;: &quot;tested&quot;\n}" in audit


def test_a_validation_run_shows_how_many_keys_differ(operator: Client, rows: dict[str, object]) -> None:
    page = operator.get("/admin/dualwrite/validationrun/").content.decode()
    assert '<td class="field-differences_found">1</td>' in page
