"""The domain's pages of the admin, as a signed-in operator meets them."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connections
from django.test import Client
from django.urls import reverse

from registry.logs import broker_call
from registry.models import AuditLog, BrokerApiLog, Index, IngestionScratch
from registry.screener.models import ScreenerIndexMembership, ScreenerInstrument
from tests.integration.domain import sql

READ_ONLY = [
    "registry_instrument",
    "registry_indexmembership",
    "registry_indexmembershiphistory",
    "registry_indexmembershiphistoryarchive",
    "registry_auditlog",
    "registry_ingestionscratch",
    "registry_brokerapilog",
]
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


def noted() -> list[tuple[object, ...]]:
    """What the audit says, the oldest first, without the ids of the rows."""
    rows = AuditLog.objects.order_by("id")
    for values in (values for row in rows for values in (row.before, row.after) if values):
        values.pop("id", None)
    return [(row.actor, row.action, row.object_type, row.object_key, row.before, row.after) for row in rows]


def test_what_is_saved_and_deleted_by_a_form_is_audited(operator: Client) -> None:
    add = reverse("admin:screener_screenerindexmembership_add")
    form = {"index_name": "DAX", "exchange": "ETR", "symbol": "SAP", "weight": "1.5", "effective_date": "2020-01-02"}
    operator.post(add, form, headers={"X-Request-ID": "r-1"})
    row = ScreenerIndexMembership.objects.get()
    page = "admin:screener_screenerindexmembership_{}"
    operator.post(reverse(page.format("change"), args=[row.pk]), form | {"weight": "2", "sector": "IT"})
    operator.post(reverse(page.format("delete"), args=[row.pk]), {"post": "yes"})
    assert not ScreenerIndexMembership.objects.exists()
    was = form | {"sector": None}
    is_ = form | {"weight": "2", "sector": "IT"}
    key = ("screener.screenerindexmembership", "ETR:SAP in DAX")
    assert noted() == [
        ("operator", "add", *key, None, was),
        ("operator", "change", *key, was, is_),
        ("operator", "delete", *key, is_, None),
    ]
    ids = list(AuditLog.objects.order_by("id").values_list("request_id", flat=True))
    assert ids[0] == "r-1"
    assert len(set(ids)) == 3, "a request without an id is given one"
    assert all(ids)


def test_each_row_deleted_by_the_action_of_the_list_is_audited(operator: Client) -> None:
    Index.objects.bulk_create(Index(index_id=name, currency="EUR") for name in ("DAX", "MDAX", "SDAX"))
    chosen = {"action": "delete_selected", "_selected_action": ["DAX", "MDAX"], "post": "yes"}
    assert operator.post(reverse("admin:registry_index_changelist"), chosen).status_code == 302
    assert [index.pk for index in Index.objects.all()] == ["SDAX"]
    blank = {"name": None, "exchange": None, "country": None, "currency": "EUR"}
    assert sorted(noted(), key=str) == [
        ("operator", "delete", "registry.index", name, {"index_id": name, **blank}, None) for name in ("DAX", "MDAX")
    ]


def test_a_form_that_is_not_taken_is_not_audited(operator: Client) -> None:
    assert (
        operator.post(reverse("admin:registry_index_add"), {"index_id": "DAX", "currency": "euro"}).status_code == 200
    )
    assert noted() == []


SAP = {"symbol": "SAP", "exchange": "ETR", "active": "on"}


def test_a_change_that_the_old_store_does_not_commit_is_not_audited(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        connections["screener"].rollback()
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(connections["screener"], "commit", away)
    with pytest.raises(OperationalError):
        operator.post(reverse("admin:screener_screenerinstrument_add"), SAP)
    assert noted() == []


def test_a_change_that_cannot_be_audited_is_not_made(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(AuditLog.objects, "create", full)
    with pytest.raises(OperationalError):
        operator.post(reverse("admin:screener_screenerinstrument_add"), SAP)
    assert not ScreenerInstrument.objects.exists()


def test_the_rows_of_the_logs_are_shown_with_their_json(operator: Client) -> None:
    AuditLog.objects.create(actor="a", action="b", object_type="c", object_key="d", after={"shown": "audited"})
    IngestionScratch.objects.create(file="f", line=2, content={"shown": "read"}, outcome="accepted")
    with broker_call("b", "quote", {"shown": "asked"}):
        pass
    for model, word in ((AuditLog, "audited"), (IngestionScratch, "read"), (BrokerApiLog, "asked")):
        page = reverse(f"admin:registry_{model._meta.model_name}_change", args=[model._default_manager.get().pk])
        assert f"&quot;shown&quot;: &quot;{word}&quot;" in operator.get(page).content.decode()
    found = operator.get(reverse("admin:registry_ingestionscratch_changelist"), {"q": "read", "outcome": "accepted"})
    assert "1 ingestion scratch" in found.content.decode()
