"""A validation under way in the admin: how far it is, on a page that renews itself, and a way to stop it."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from dualwrite import runs
from dualwrite.models import ValidationRun
from dualwrite.stream import Stream
from tests.integration.admin_site import LOOK, OPERATE, Operator

LIST = "/admin/dualwrite/validationrun/"
REACHED = {"phase": "comparing digests", "rows": 500, "total": 1_000, "rows_per_second": 250, "eta_seconds": 2.0}


@pytest.fixture
def operator(stores: None, client: Client) -> Client:
    """A superuser's session."""
    client.force_login(get_user_model().objects.create_superuser("operator"))
    return client


def cancels(client: Client, number: int) -> str:
    """Use the list's action; returns the messages of the page that follows."""
    sent = {"action": "cancel_runs", "_selected_action": [number]}
    answer = client.post(LIST, sent, follow=True)
    return "; ".join(f"{message.level_tag}: {message}" for message in answer.context["messages"])


def test_a_run_under_way_shows_how_far_it_is_and_its_pages_renew_themselves(
    operator: Client, memberships: Stream
) -> None:
    with runs.only(ValidationRun, memberships) as owner:
        run = ValidationRun.objects.create(
            stream=memberships.name, level="strict", progress=REACHED, **owner.as_fields()
        )
        for path in (LIST, f"{LIST}{run.pk}/change/"):
            page = operator.get(path)
            assert page["Refresh"] == "2"
            said = "running, comparing digests: 500 of about 1000 rows, 250/s, 2 s left"
            assert said in page.content.decode()
        assert cancels(operator, run.pk) == f"success: Validation run {run.pk}: asked to stop"
        run.refresh_from_db()
        assert (run.status, run.cancel_asked_by) == ("running", "operator")


def test_a_run_whose_process_died_is_told_from_a_living_one_and_closed_by_a_cancel(
    operator: Client, memberships: Stream
) -> None:
    run = ValidationRun.objects.create(stream=memberships.name, level="strict", owner="far:1", backend=1)
    assert "its process died; the next run closes it" in operator.get(LIST).content.decode()
    assert cancels(operator, run.pk).startswith(f"success: Validation run {run.pk}: its process (far:1) died")
    page = operator.get(f"{LIST}{run.pk}/change/")
    assert not page.has_header("Refresh")
    assert cancels(operator, run.pk) == f"error: Refused: validation run {run.pk} has ended already, as error"


def test_only_an_operator_may_stop_a_run(stores: None, memberships: Stream) -> None:
    run = ValidationRun.objects.create(stream=memberships.name, level="strict", owner="far:1", backend=1)
    looker = Operator("view_validationrun", LOOK)
    assert "Cancel the selected runs" not in looker.client.get(LIST).content.decode()
    cancels(looker.client, run.pk)
    run.refresh_from_db()
    assert (run.status, run.cancel_asked_by) == ("running", "")
    operator = Operator("view_validationrun", LOOK, OPERATE, name="bert")
    assert "Cancel the selected runs" in operator.client.get(LIST).content.decode()
