"""Starting up: each thing that is missing is named with what mends it, and requests wait for what they need."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django_celery_beat.models import PeriodicTask

from actuator import health
from actuator.health import ReadyzView
from dualwrite import switch
from dualwrite.monitoring import checks
from dualwrite.monitoring.checks.startup import StartUpCheck
from dualwrite.monitoring.exceptions import OutOfService
from dualwrite.monitoring.startup import Finding, Gate, Report, start_up
from dualwrite.schedule.entries import seed
from dualwrite.stages import Store
from dualwrite.stores import Session
from tests.conftest import TESTER
from tests.integration.away import CLOSED_PORT, move

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture(autouse=True)
def scheduled(stores: None) -> None:
    seed()


def found(name: str) -> Finding:
    """That step of a start-up now."""
    return next(one for one in start_up().findings if one.name == name)


def require_named(name: str, word: str, mend: str, *, blocking: bool) -> None:
    """The step did not pass, and says so."""
    one = found(name)
    assert (one.passed, one.blocking) == (False, blocking), one
    assert word in one.sentence
    assert mend in one.line


def test_with_everything_there_nothing_blocks_and_the_steps_come_in_order() -> None:
    report = start_up()
    assert not report.blocking
    # The test's account is a superuser, which is told.
    assert [one.name for one in report.told] == ["roles"]
    names = [one.name for one in report.findings]
    assert names[:5] == ["parameters", "settings", "registry", "screener", "redis"]
    assert names[-1] == "schedule"


def test_a_missing_migration_is_named() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("dualwrite", "0008_schedule")
    try:
        require_named("migrations", "dualwrite.0008_schedule", "manage.py migrate", blocking=True)
    finally:
        recorder.record_applied("dualwrite", "0008_schedule")


@pytest.mark.parametrize(("store", "blocking"), [(Store.REGISTRY, True), (Store.SCREENER, False)])
def test_a_missing_trigger_is_named(registry: Session, screener: Session, store: Store, blocking: bool) -> None:
    session = {Store.REGISTRY: registry, Store.SCREENER: screener}[store]
    table = {Store.REGISTRY: "instrument_registry.instruments", Store.SCREENER: "public.instruments"}[store]
    session.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    try:
        require_named(f"triggers {store}", "instruments", f"dualwrite install --store {store}", blocking=blocking)
    finally:
        session.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL".encode())


def test_a_router_that_is_not_in_force_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DATABASE_ROUTERS", [])
    require_named("settings", "DATABASE_ROUTERS", "correct what is named", blocking=True)


def test_a_parameter_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTRUMENT_REGISTRY_BATCH_SIZE", "many")
    require_named("settings", "BATCH_SIZE", "correct what is named", blocking=True)


def test_a_row_that_is_missing_in_the_schedule_is_named() -> None:
    PeriodicTask.objects.filter(task="dualwrite.retention.run").delete()
    require_named("schedule", "dualwrite.retention.run", "manage.py schedule --seed", blocking=False)


def test_redis_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", f"redis://:hidden-word@127.0.0.1:{CLOSED_PORT}/0")
    require_named("redis", "refused", "REDIS_URL", blocking=False)
    assert "hidden-word" not in found("redis").line


def test_stores_that_are_no_pair_are_named(screener: Session) -> None:
    switch.pair(TESTER)
    screener.execute("UPDATE dualwrite.store_identity SET identity = gen_random_uuid()")
    require_named("identities", "paired", "store-went-back.md", blocking=False)


def test_a_role_that_may_do_too_much_is_named() -> None:
    require_named("roles", "superuser", "docs/deployment.md", blocking=False)


@pytest.mark.parametrize(("store", "blocking"), [(Store.REGISTRY, True), (Store.SCREENER, False)])
def test_a_store_that_is_away_is_named_once_and_what_needs_it_is_not_asked(
    store: Store, blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(store, CLOSED_PORT, monkeypatch)
    report = {one.name: one for one in start_up().findings}
    assert (report[store.value].passed, report[store.value].blocking) == (False, blocking)
    assert report[f"triggers {store}"].sentence == f"not asked, as the {store} cannot be used"
    assert report["identities"].sentence == f"not asked, as the {store} cannot be used"
    assert report["redis"].passed


def test_the_command_tells_each_step_and_exits_by_what_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call_command("startup")
    assert capsys.readouterr().out.splitlines()[-1] == "ready"
    move(Store.REGISTRY, CLOSED_PORT, monkeypatch)
    with pytest.raises(SystemExit) as ended:
        call_command("startup", "--json")
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ready"]
    assert {one["name"] for one in told["steps"] if one["blocking"]} == {"registry", "migrations", "triggers registry"}


BAD = Finding("migrations", False, "1 was not applied", 0.0, True, "manage.py migrate")


@contextmanager
def begun(gate: Gate) -> Iterator[None]:
    gate.begin()
    try:
        yield
    finally:
        gate.stop()


def test_readyz_waits_for_the_start_up_and_for_nothing_else(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def ask() -> Report:
        asked.set()
        assert go_on.wait(30)
        return Report((replace(BAD, passed=True, blocking=False),))

    gate = Gate(ask)
    monkeypatch.setattr(checks, "StartUpCheck", lambda: StartUpCheck(gate=gate))
    monkeypatch.setattr(health, "READINESS_KEPT_SECONDS", 0.0)

    def readyz() -> int:
        monkeypatch.setattr(ReadyzView, "latest", health.readiness())
        return client.get("/readyz").status_code

    assert readyz() == 200
    with begun(gate):
        assert asked.wait(30)
        assert (readyz(), client.get("/livez").status_code) == (503, 200)
        told = client.get("/actuator/health/readiness").json()["components"]["startUp"]
        assert told["status"] == "OUT_OF_SERVICE"
        go_on.set()
        gate.wait(30)
        assert readyz() == 200


def test_the_gate_asks_again_until_what_blocks_is_gone_and_tells_each_thing_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dualwrite.monitoring.startup.gate.AGAIN_SECONDS", 0.01)
    answers = iter([Report((BAD,))] * 3 + [Report((replace(BAD, passed=True, blocking=False),))])
    gate = Gate(lambda: next(answers))
    with caplog.at_level("INFO"), begun(gate):
        gate.wait(30)
        gate.require_open()
    said = [record.getMessage() for record in caplog.records if record.name.endswith("startup.gate")]
    assert said == [f"start-up: {BAD.line}", "start-up: ready, 1 of 1 steps passed"]


def test_while_something_blocks_the_gate_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Semaphore(0)

    def ask() -> Report:
        asked.release()
        return Report((BAD,))

    monkeypatch.setattr("dualwrite.monitoring.startup.gate.AGAIN_SECONDS", 0.01)
    gate = Gate(ask)
    with begun(gate):
        for _ in range(2):
            assert asked.acquire(timeout=30)
        with pytest.raises(OutOfService, match=r"1 was not applied; manage\.py migrate"):
            gate.require_open()
