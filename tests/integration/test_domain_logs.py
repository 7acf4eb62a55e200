"""Imports and the calls of brokers are recorded, and recording them neither hides nor invents anything."""

import getpass
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connections

from registry.exceptions import StoreUnreachableError, WriteRefusedError
from registry.importing import import_file
from registry.logs import broker_call
from registry.models import AuditLog, BrokerApiLog, Index, IngestionScratch
from registry.screener.models import ScreenerInstrument
from tests.integration.domain import domain, sql

__all__ = ["domain"]
DATA = Path(__file__).parent.parent.parent / "data"
IN_DOMAIN = pytest.mark.usefixtures("domain")


def outcomes(**which: object) -> dict[str, int]:
    """How many rows came out how."""
    return dict(Counter(IngestionScratch.objects.filter(**which).values_list("outcome", flat=True)))


@IN_DOMAIN
@pytest.mark.parametrize(
    ("file", "index", "accepted", "rejected"),
    [("constituents_current.csv", None, 1244, 50), ("sp500_history.csv", "S&P 500", 882, 7)],
)
def test_each_row_of_an_imported_file_is_kept_with_its_outcome(
    file: str, index: str | None, accepted: int, rejected: int, tmp_path: Path
) -> None:
    import_file(DATA / file, index=index, rejects=tmp_path / "rejects", actor="anna")
    assert outcomes(file=file) == {"accepted": accepted, "rejected": rejected}
    report = import_file(DATA / file, index=index, rejects=tmp_path / "rejects", actor="anna")
    assert outcomes(file=file) == {"accepted": accepted, "unchanged": accepted, "rejected": 2 * rejected}
    reasons = IngestionScratch.objects.filter(outcome="rejected").order_by("-id").values_list("line", "reason")
    text = report.rejects_path.read_text()
    assert all(f"{line}," in text and (reason or "?") in text for line, reason in reasons)
    lines = IngestionScratch.objects.filter(outcome__in=["accepted", "rejected"]).values("line").distinct().count()
    assert lines == accepted + rejected
    (first, second) = AuditLog.objects.order_by("id")
    assert (first.actor, first.action, first.object_type, first.object_key) == ("anna", "import", "file", file)
    counts = {"read": accepted + rejected, "accepted": accepted, "rejected": rejected, "unchanged": 0}
    assert first.after is not None
    assert second.after is not None
    assert first.after.items() >= counts.items()
    into = "registry" if index else "screener"
    assert first.after["options"] == {"index": index, "exchange": None, "columns": {}, "into": into}
    assert (second.after["accepted"], second.after["unchanged"]) == (0, accepted)


@IN_DOMAIN
def test_an_import_by_the_command_is_said_to_be_that_users(tmp_path: Path) -> None:
    file, rejects = str(DATA / "dow30_history.csv"), str(tmp_path / "rejects")
    call_command("import_constituents", file, "--index", "DOW JONES", "--rejects", rejects, stdout=StringIO())
    assert AuditLog.objects.get().actor == f"command:{getpass.getuser()}"


@IN_DOMAIN
def test_rows_are_kept_as_they_were_read_whatever_is_in_them(tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    rows = b'DAX, SAP.DE ,"a ""b""\n\xc3\xa9",x\nDAX,\xe4.DE\nDAX,A\0\t\\.DE,,1,2,3\n'
    file.write_bytes(b"index,symbol,name,name,\n" + rows)
    import_file(file, rejects=tmp_path / "rejects")
    assert list(IngestionScratch.objects.order_by("line").values_list("line", "content", "outcome")) == [
        (2, {"index": "DAX", "symbol": " SAP.DE ", "name": 'a "b"\né', "4": "x"}, "rejected"),
        (4, {"index": "DAX", "symbol": "\\xe4.DE"}, "rejected"),
        (5, {"index": "DAX", "symbol": "A\\x00\t\\.DE", "name": "", "4": "1", "5": "2", "6": "3"}, "rejected"),
    ]


@IN_DOMAIN
def test_a_file_whose_name_is_not_utf_8_is_imported_and_recorded(tmp_path: Path) -> None:
    file = tmp_path / "\udce4.csv"
    file.write_text("symbol,opt_in,opt_out\nA,2000-01-01,\n")
    assert import_file(file, index="DAX", rejects=tmp_path / "rejects").accepted == 1
    assert AuditLog.objects.get().object_key == IngestionScratch.objects.get().file == "\\xe4.csv"


@IN_DOMAIN
def test_what_cannot_be_recorded_is_not_imported(tmp_path: Path) -> None:
    sql("ALTER TABLE ingestion_scratch ADD CONSTRAINT never CHECK (false)")
    with pytest.raises(WriteRefusedError, match="never"):
        import_file(DATA / "constituents_current.csv", rejects=tmp_path / "rejects")
    assert not (tmp_path / "rejects").exists()
    assert not ScreenerInstrument.objects.exists()
    assert not Index.objects.exists()


def test_an_import_that_the_store_does_not_commit_is_not_recorded(
    stores: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        connections["screener"].rollback()
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(connections["screener"], "commit", away)
    with pytest.raises(StoreUnreachableError, match="screener"):
        import_file(DATA / "constituents_current.csv", rejects=tmp_path / "rejects")
    assert not AuditLog.objects.exists()
    assert not IngestionScratch.objects.exists()


def calls() -> list[dict[str, Any]]:
    """What is recorded of the calls of brokers."""
    columns = ("broker", "operation", "request", "status", "error", "instrument_key")
    return list(BrokerApiLog.objects.order_by("id").values(*columns))


@IN_DOMAIN
def test_a_call_of_a_broker_is_recorded_with_its_duration() -> None:
    with broker_call("groww", "quote", {"symbol": "A"}, instrument_key="NSE:A"):
        sql("SELECT pg_sleep(0.05)")
    asked = {"broker": "groww", "operation": "quote", "request": {"symbol": "A"}, "instrument_key": "NSE:A"}
    assert calls() == [asked | {"status": "ok", "error": None}]
    assert 50 <= BrokerApiLog.objects.get().milliseconds < 5000


@IN_DOMAIN
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_call_that_fails_is_recorded_with_its_error_which_is_raised_on(kind: type[BaseException]) -> None:
    with pytest.raises(kind, match="no such symbol"), broker_call("groww", "quote", {}):
        raise kind("no such symbol \0")
    assert [(call["status"], call["error"]) for call in calls()] == [
        ("failed", f"{kind.__name__}: no such symbol \\x00")
    ]


@IN_DOMAIN
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("403 for https://u:hunter2@x.test/q?token=hunter2&a=1", "403 for https://…@x.test/q?…"),
        ("headers {'Authorization': 'Bearer hunter2'}", "headers {'Authorization': 'Bearer …"),
        ("api_key=hunter2 refused", "api_key=… refused"),
        ("{'password': 'hunter2'}", "{'password': …"),
    ],
)
def test_what_libraries_put_into_an_error_is_not_recorded_where_it_may_be_secret(message: str, told: str) -> None:
    with pytest.raises(OSError, match="hunter2"), broker_call("groww", "quote", {}):
        raise OSError(message)
    assert [call["error"] for call in calls()] == [f"OSError: {told}"]


@IN_DOMAIN
def test_a_call_that_cannot_be_recorded_goes_on_with_its_result_or_its_error(caplog: pytest.LogCaptureFixture) -> None:
    sql("ALTER TABLE broker_api_log ADD CONSTRAINT never CHECK (false)")
    with broker_call("groww", "quote", {}):
        pass
    with pytest.raises(ValueError, match="mine"), broker_call("groww", "quote", {"what": object()}):
        raise ValueError("mine")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "quote of groww (ok) is not recorded" in caplog.text
    assert sql("SELECT 1") == [(1,)], "the caller's transaction goes on"
    assert calls() == []


@IN_DOMAIN
@pytest.mark.parametrize(
    "row",
    [
        "ingestion_scratch (file, line, content, outcome, reason) VALUES ('f', 2, '{}', 'lost', NULL)",
        "ingestion_scratch (file, line, content, outcome, reason) VALUES ('f', 2, '{}', 'rejected', NULL)",
        "ingestion_scratch (file, line, content, outcome, reason) VALUES ('f', 2, '{}', 'accepted', 'x')",
        "broker_api_log (broker, operation, request, status, milliseconds) VALUES ('b', 'o', '{}', 'fine', 1)",
        "broker_api_log (broker, operation, request, status, milliseconds) VALUES ('b', 'o', '{}', 'failed', 1)",
        "broker_api_log (broker, operation, request, status, milliseconds) VALUES ('b', 'o', '{}', 'ok', -1)",
    ],
)
def test_a_row_that_contradicts_itself_is_refused(row: str) -> None:
    with pytest.raises(IntegrityError):
        sql(f"INSERT INTO {row}")
