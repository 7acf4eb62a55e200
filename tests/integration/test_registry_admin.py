"""The domain's pages of the admin, as a signed-in operator meets them."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from registry.models import Index
from registry.screener.models import ScreenerInstrument
from tests.integration.domain import sql

READ_ONLY = ["registry_instrument", "registry_indexmembership", "registry_indexmembershiphistory"]
EDITABLE = ["registry_index", "screener_screenerinstrument", "screener_screenerindexmembership"]


@pytest.fixture
def operator(stores: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.mark.parametrize("model", READ_ONLY + EDITABLE)
def test_every_model_is_listed_searched_and_filtered(operator: Client, model: str) -> None:
    assert operator.get(reverse(f"admin:{model}_changelist"), {"q": "x"}).status_code == 200


@pytest.mark.parametrize("model", READ_ONLY)
def test_what_the_registry_follows_cannot_be_edited_there(operator: Client, model: str) -> None:
    assert operator.get(reverse(f"admin:{model}_add")).status_code == 403


def test_an_old_instrument_is_saved_by_its_form(operator: Client) -> None:
    form = {"symbol": "SAP", "exchange": "ETR", "name": "SAP", "lot_size": "1.5", "active": "on"}
    assert operator.post(reverse("admin:screener_screenerinstrument_add"), form).status_code == 302
    row = ScreenerInstrument.objects.using("screener").get()
    assert (row.symbol, row.isin) == ("SAP", None)


def test_the_key_of_an_index_is_set_once(operator: Client) -> None:
    url = reverse("admin:registry_index_add")
    assert operator.post(url, {"index_id": "DAX", "name": "DAX"}).status_code == 302
    change = reverse("admin:registry_index_change", args=["DAX"])
    assert operator.post(change, {"index_id": "MDAX", "name": "Deutscher Aktienindex"}).status_code == 302
    assert sql("SELECT index_id, name FROM indices") == [("DAX", "Deutscher Aktienindex")]
    assert Index.objects.count() == 1
