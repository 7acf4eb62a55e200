"""What the periodic look keeps, and what the rows tell."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from dualwrite.control.enable import enable
from dualwrite.control.pause import pause
from dualwrite.management.commands import run_health_checks
from dualwrite.models import HealthRecord
from dualwrite.monitoring import history as module
from dualwrite.monitoring.checks.canary import CanaryCheck
from dualwrite.monitoring.health import run_checks
from dualwrite.monitoring.history import history, record
from dualwrite.monitoring.status import Status
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER
from tests.integration.away import ATTENDED, CLOSED_PORT, move, unattended
from tests.integration.relays import relay

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of another test; worker and scheduler are not looked at."""
    unattended(monkeypatch, module, run_health_checks)
    module._remembered.clear()
    yield
    module._remembered.clear()


def looked(minutes_ago: float, status: str = "UP", component: str = "redis", subject: str = "") -> HealthRecord:
    """A look of so long before noon."""
    at = NOW - timedelta(minutes=minutes_ago)
    return HealthRecord.objects.create(at=at, component=component, subject=subject, status=status, seconds=0.1)


def hour(component: str = "redis") -> dict[str, Any]:
    """What is told of the last hour."""
    found: dict[str, Any] = history(NOW)[component]["windows"]["1h"]
    return found


@pytest.mark.usefixtures("stores")
def test_a_look_keeps_a_row_for_each_component() -> None:
    report = record(NOW)
    rows = {row.component: row for row in HealthRecord.objects.all()}
    assert set(rows) == {check.name for check in ATTENDED} == {result.name for result in report.results}
    assert {(row.at, row.subject, row.status) for row in rows.values()} == {(NOW, "", "UP")}


def test_a_canary_is_flown_through_each_relayed_stream_and_timed(
    screener: Session, instruments: Stream, memberships: Stream
) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('X', 'NSE')")
    enable(instruments, TESTER)
    with relay(instruments):
        record(timezone.now())
    row = HealthRecord.objects.get(subject="instruments")
    assert (row.component, row.status, row.error) == ("canary", "UP", "")
    assert 0 < row.seconds < 10
    found = run_checks([CanaryCheck()]).results[0]
    assert found.status is Status.UP
    assert found.details["instruments"]["canary_seconds"] == pytest.approx(row.seconds, abs=0.001)
    assert found.details["index_memberships"]["sent"] is False


def test_a_canary_that_does_not_come_through_is_down_and_a_paused_stream_has_none(
    screener: Session, instruments: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('X', 'NSE')")
    enable(instruments, TESTER)
    record(timezone.now())
    row = HealthRecord.objects.get(subject="instruments")
    assert row.status == "DOWN"
    assert "no relay works on stream instruments" in row.error
    assert HealthRecord.objects.get(component="canary", subject="").status == "DOWN"
    pause(instruments, TESTER)
    record(timezone.now())
    assert HealthRecord.objects.filter(subject="instruments").count() == 1


@pytest.mark.usefixtures("stores")
def test_what_is_found_while_the_registry_is_away_is_kept_once_it_is_back() -> None:
    with pytest.MonkeyPatch.context() as patch:
        move(Store.REGISTRY, CLOSED_PORT, patch)
        record(NOW)
    connections["default"].close()
    assert not HealthRecord.objects.exists()
    record(NOW + timedelta(minutes=5))
    of_database = HealthRecord.objects.filter(component="database").order_by("at").values_list("at", "status")
    assert list(of_database) == [(NOW, "DOWN"), (NOW + timedelta(minutes=5), "UP")]
    assert len(module._remembered) == 0


@pytest.mark.usefixtures("stores")
def test_rows_that_are_too_old_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes in (60 * 24 * 91, 60 * 24 * 89):
        looked(minutes)
    record(NOW)
    assert HealthRecord.objects.filter(component="redis").count() == 2
    monkeypatch.setenv("INSTRUMENT_REGISTRY_HEALTH_KEPT_DAYS", "88")
    record(NOW)
    assert HealthRecord.objects.filter(at__lt=NOW).count() == 0
    looked(60 * 24 * 89)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_HEALTH_KEPT_DAYS", "nonsense")
    assert record(NOW).status is Status.UP
    assert HealthRecord.objects.filter(at__lt=NOW).count() == 1


@pytest.mark.usefixtures("stores")
def test_each_look_speaks_until_the_next() -> None:
    looked(40)
    looked(35, "DOWN")
    looked(30)
    for minutes in range(25, 0, -5):
        looked(minutes)
    looked(20, "DOWN", subject="a part of it")
    assert hour() == {"availability": 0.875, "down_seconds": 300, "blind_seconds": 0}


@pytest.mark.usefixtures("stores")
def test_what_nobody_looked_at_or_could_tell_is_neither_up_nor_down() -> None:
    looked(60)
    looked(30, "UNKNOWN")
    looked(25, "OUT_OF_SERVICE")
    looked(20)
    looked(-5, "DOWN")  # of another clock
    assert hour() == {"availability": 0.8, "down_seconds": 300, "blind_seconds": 2100}


@pytest.mark.usefixtures("stores")
def test_a_look_before_the_window_speaks_into_it() -> None:
    looked(65, "DOWN")
    assert hour() == {"availability": 0.0, "down_seconds": 300, "blind_seconds": 3300}
    day = history(NOW)["redis"]["windows"]["24h"]
    assert day == {"availability": 0.0, "down_seconds": 600, "blind_seconds": 3300}


@pytest.mark.usefixtures("stores")
def test_a_component_not_seen_for_long_is_told_with_its_budget() -> None:
    looked(60 * 48, "DOWN", "screener")
    looked(60 * 48 - 5, "DOWN", "screener")
    found = history(NOW)["screener"]
    assert (found["status"], found["since"]) == ("DOWN", NOW - timedelta(hours=48))
    assert found["windows"]["1h"] is None
    assert found["windows"]["30d"]["down_seconds"] == 900
    assert found["budget"]["met"] is None
    assert found["budget"]["spent_seconds"] == 900


@pytest.mark.usefixtures("stores")
def test_endpoint_and_command_tell_the_same(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_health_checks", history=True)
    assert "nobody has recorded" in capsys.readouterr().out
    call_command("run_health_checks", record=True)
    assert "status: UP" in capsys.readouterr().out
    call_command("run_health_checks", history=True)
    told = capsys.readouterr().out
    assert "100.000 %" in told or "not seen" in told
    call_command("run_health_checks", history=True, json=True)
    components = json.loads(capsys.readouterr().out)["components"]
    answer = client.get("/actuator/monitoring/status").json()
    assert set(answer["components"]) == set(components)
    assert answer["components"]["redis"]["status"] == components["redis"]["status"] == "UP"
    assert answer["components"]["redis"]["budget"]["target"] == 0.999


def test_without_the_registry_history_is_a_problem_that_says_so(
    client: Client, stores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    answer = client.get("/actuator/monitoring/status")
    assert (answer.status_code, answer.json()["code"]) == (503, "StoreUnreachable")


def test_a_quarter_of_a_year_of_looks_is_told_in_a_second(registry: Session) -> None:
    registry.execute(
        "INSERT INTO dualwrite_health (at, component, subject, status, seconds, error)"
        " SELECT at, 'c' || c, '', CASE WHEN random() < 0.001 THEN 'DOWN' ELSE 'UP' END, 0.1, ''"
        " FROM generate_series(now() - interval '90 days', now(), interval '5 minutes') AS at,"
        "      generate_series(1, 12) AS c"
    )
    registry.execute("ANALYZE dualwrite_health")
    began = time.monotonic()
    found = history(timezone.now())
    took = time.monotonic() - began
    assert len(found) == 12
    assert took < 3, f"{took:.1f} s"
