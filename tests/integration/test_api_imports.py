"""Whole files by the API and the admin: looked at, imported as looked at, rejected rows handed back."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from dualwrite.clearance import Clearance
from dualwrite.control.handover import hand_over
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import all_streams
from registry.models import AuditLog, IgnoreRule, IndexMembershipHistory, IngestionScratch
from tests.conftest import TESTER
from tests.integration.asking import V1, api, consumer
from tests.support import column, enabled

__all__ = ["api"]

PATH = f"{V1}/imports"
PAGE = "/admin/registry/ingestionscratch/import/"
MEMBERS = "index_name,symbol,name,isin,industries\nDAX,SAP.DE,SAP SE,DE0007164600,Software\nDAX,BAD.DE,Bad,XX,\n"
SPELLS = "symbol,opt_in,opt_out\nAAPL,2015-03-19,\nAA,1959-06-01,2013-09-23\n"


def sent(client: Client, body: str = MEMBERS, status: int = 200, accept: str = "application/json", **query: str) -> Any:
    answer = client.post(PATH, body, content_type="text/csv", query_params=query, headers={"Accept": accept})
    assert answer.status_code == status, answer.content
    return answer.content.decode() if accept == "text/csv" else answer.json()


def test_a_file_is_looked_at_and_then_imported_as_it_was_looked_at(api: Client, screener: Session) -> None:
    seen = sent(api, filename="dax.csv")
    assert (seen["applied"], seen["read"], seen["accepted"], seen["rejected"]) == (False, 2, 1, 1)
    assert seen["rejected_rows"] == [{"line": "3", "column": "isin", "reason": "bad ISIN check digit or form: XX"}]
    instrument = {"name": "SAP SE", "isin": "DE0007164600", "currency": "EUR"}
    assert seen["differences"] == [
        {"table": "screener instruments", "row": ["SAP", "ETR"], "before": None, "after": instrument},
        {
            "table": "screener index memberships",
            "row": ["SAP", "ETR", "DAX"],
            "before": None,
            "after": {"sector": "Software"},
        },
    ]
    assert column(screener, "SELECT count(*) FROM instruments") == [0]
    assert not IngestionScratch.objects.exists()
    assert not AuditLog.objects.exists()
    done = sent(api, filename="dax.csv", apply="true", plan=seen["plan"])
    assert (done["applied"], done["plan"], done["differences"]) == (True, seen["plan"], seen["differences"])
    assert column(screener, "SELECT isin FROM instruments") == ["DE0007164600"]
    assert set(IngestionScratch.objects.values_list("file", flat=True)) == {"dax.csv"}
    assert AuditLog.objects.get().object_key == "dax.csv"
    changed = sent(api, MEMBERS.replace("Software", "IT"))
    assert [(one["before"], one["after"]) for one in changed["differences"]] == [
        ({"sector": "Software"}, {"sector": "IT"})
    ]
    problem = sent(api, MEMBERS.replace("Software", "IT"), status=409, apply="true", plan=seen["plan"])
    assert "would change something else by now" in problem["detail"]
    assert column(screener, "SELECT sector FROM index_memberships") == ["Software"]


@pytest.mark.parametrize("into", list(Store))
def test_members_that_a_file_lacks_are_told_and_stay(api: Client, into: Store) -> None:
    for stream in all_streams():
        enabled(stream)
        if into is Store.REGISTRY:
            hand_over(stream, Store.REGISTRY, TESTER)
    whole = "index_name,symbol,name\nDAX,SAP.DE,SAP SE\nDAX,SIE.DE,Siemens\nDow Jones,AAPL,Apple\n"
    assert sent(api, whole, apply="true", into=into.value)["lacking"] == []
    one = "index_name,symbol,name\nDAX,SAP.DE,SAP SE\n"
    absent = [{"instrument_key": "ETR:SIE", "index_id": "DAX"}]
    for applies in ("false", "true"):
        told = sent(api, one, apply=applies, into=into.value)
        assert (told["lacking"], told["more_lacking"], told["unchanged"]) == (absent, 0, 1)


def test_rejected_rows_come_back_as_a_file(api: Client) -> None:
    told = sent(api, accept="text/csv")
    assert told.splitlines() == [
        "line,column,reason,index_name,symbol,name,isin,industries",
        "3,isin,bad ISIN check digit or form: XX,DAX,BAD.DE,Bad,XX,",
    ]


def test_spells_go_into_the_history_and_members_where_writes_go(
    api: Client, screener: Session, registry: Session
) -> None:
    seen = sent(api, SPELLS, index="DOW JONES")
    assert [one["row"] for one in seen["differences"]] == [["NYSE:AAPL", "DOW JONES"], ["NYSE:AA", "DOW JONES"]]
    assert not IndexMembershipHistory.objects.exists()
    assert sent(api, SPELLS, index="DOW JONES", apply="true", plan=seen["plan"])["accepted"] == 2
    assert IndexMembershipHistory.objects.count() == 2
    for stream in all_streams():
        enabled(stream)
        hand_over(stream, Store.REGISTRY, TESTER)
    sent(api, apply="true")
    assert column(registry, "SELECT instrument_key FROM index_memberships") == ["ETR:SAP"]
    assert column(screener, "SELECT count(*) FROM index_memberships") == [0]


def test_a_file_in_a_form_is_taken_too(api: Client) -> None:
    answer = api.post(PATH, {"file": SimpleUploadedFile("../../etc/dax.csv", MEMBERS.encode())})
    assert (answer.status_code, answer.json()["read"]) == (200, 2)


def test_what_cannot_be_imported_is_told_in_a_sentence(api: Client) -> None:
    for body, query, status, sentence in (
        ("a,b\n1,2\n", {}, 400, "lacks index, symbol"),
        (SPELLS, {}, 400, "a file of spells needs --index"),
        (MEMBERS, {"exchange": "MOON"}, 400, "valid are ETR"),
        (MEMBERS, {"into": "nowhere"}, 400, "valid are registry, screener"),
        (MEMBERS, {"columns": "isin"}, 400, "columns: 'isin'; valid: FIELD=COLUMN"),
        (MEMBERS, {"columns": "isin=NONE"}, 400, "the file has no column 'NONE'"),
        (MEMBERS, {"into": "registry", "apply": "true"}, 409, "database refused"),
        (MEMBERS, {"filename": ".hidden"}, 400, "cannot be kept"),
    ):
        assert sentence in sent(api, body, status=status, **query)["detail"]
    assert api.post(PATH, {"no": "file"}).json()["errors"][0]["pointer"] == "#/file"
    assert sent(consumer("reader", Clearance.VIEWER), status=403)


def user(name: str, *permissions: str) -> Client:
    account = User.objects.create_user(name, is_staff=True)
    account.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(account)
    return client


def test_the_admin_shows_what_a_file_would_change_and_imports_it_when_confirmed(
    stores: None, screener: Session
) -> None:
    anna = user("anna", "view_ingestionscratch", "add_ingestionscratch")
    assert PAGE in anna.get("/admin/registry/ingestionscratch/").content.decode()
    shown = anna.post(PAGE, {"file": SimpleUploadedFile("dax.csv", MEMBERS.encode())}).content.decode()
    assert "1 would change something" in shown
    assert "bad ISIN check digit or form: XX" in shown
    assert column(screener, "SELECT count(*) FROM instruments") == [0]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shown)) | {"apply": "Import it"}
    told = anna.post(PAGE, fields, follow=True).content.decode()
    assert "Of dax.csv 2 rows were read, 1 accepted, 1 rejected." in told
    assert column(screener, "SELECT symbol FROM instruments") == ["SAP"]
    assert AuditLog.objects.get().actor == "anna"
    other = SimpleUploadedFile("dax.csv", b"index_name,symbol,name\nDAX,SIE.DE,Siemens\n")
    shown = anna.post(PAGE, {"file": other}).content.decode()
    assert "Members that the file does not have" in shown
    assert "<td>ETR:SAP</td><td>DAX</td>" in shown
    again = anna.post(PAGE, fields, follow=True).content.decode()
    assert "would change something else by now" in again
    broken = anna.post(PAGE, {**fields, "content": "%"}, follow=True).content.decode()
    assert "did not come back whole" in broken
    refused = anna.post(PAGE, {"file": SimpleUploadedFile("x.csv", b"a,b\n")}).content.decode()
    assert "it lacks" in refused
    assert "This field is required" in anna.post(PAGE, {}).content.decode()


def test_who_may_only_look_imports_nothing(stores: None) -> None:
    ben = user("ben", "view_ingestionscratch")
    assert PAGE not in ben.get("/admin/registry/ingestionscratch/").content.decode()
    assert ben.get(PAGE).status_code == 403
    assert ben.post(PAGE, {"file": SimpleUploadedFile("dax.csv", MEMBERS.encode())}).status_code == 403


def test_a_rule_for_known_differences_is_made_in_the_admin_with_fields_that_there_are(stores: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("anna"))
    rule = {"name": "sectors", "stream": "index_memberships", "fields": '["sector"]', "reason": "another source"}
    form = {**rule, "until_0": "2030-01-01", "until_1": "00:00"}
    path = "/admin/registry/ignorerule/add/"
    assert (
        "Valid: a list of weight, sector, date_added."
        in client.post(path, {**form, "fields": '["x"]'}).content.decode()
    )
    assert client.post(path, form).status_code == 302
    assert IgnoreRule.objects.get().fields == ["sector"]
    for page in ("ignorerule", "consumercalls", "readmismatch", "change"):
        assert client.get(f"/admin/registry/{page}/", {"q": "x"}).status_code == 200


@pytest.mark.usefixtures("stores")
def test_changes_are_numbered_by_schedule(registry: Session) -> None:
    from registry.tasks import number_changes

    assert number_changes() == {"position": 0}
