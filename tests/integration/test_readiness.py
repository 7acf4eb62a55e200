"""Each check of readiness fails when its part is broken on purpose; ./run shows that all pass on a whole system."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django_celery_beat.models import PeriodicTask

from actuator import health, index, problems, retention
from config.celery import app
from dualwrite.configuration.fetch import Fetched
from dualwrite.exceptions import CaptureBroken
from dualwrite.models import TaskRun
from dualwrite.readiness import (
    boundaries,
    configuration,
    endpoints,
    faults,
    imports,
    integration,
    life,
    probes,
    prove,
    scheduled,
    watching,
)
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.relay import worker
from dualwrite.runs import only_run
from dualwrite.schedule.entries import ENTRIES, seed
from dualwrite.schedule.recorded import Named, _answer, perform
from dualwrite.schedule.rows import Occurrence
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.support import add, at_work, enabled

pytestmark = pytest.mark.usefixtures("stores")

NOWHERE = Service("http://127.0.0.1:1")
#: A broker from which nobody takes.
BROKER = settings.REDIS_URL.rpartition("/")[0] + "/10"
CLOSED = ("retention-status", "emergency-reset")
KEY = "the-key-of-this-test"


@pytest.fixture(autouse=True)
def patience(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seed()
    monkeypatch.setattr(life, "PING_SECONDS", 0.2)
    monkeypatch.setenv("INSTRUMENT_REGISTRY_CANARY_TIMEOUT_SECONDS", "0.3")


class Silent(WSGIRequestHandler):
    """Not in the output of tests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The web part in a thread of this process, so that its parts can be broken; some of its addresses are enough."""
    monkeypatch.setattr(index, "LINKS", {name: index.LINKS[name] for name in ("actuator", "info", "health", *CLOSED)})
    monkeypatch.setattr(index, "TEMPLATED", {})
    monkeypatch.setattr(health, "HEALTH_WITHIN_SECONDS", 0.1)
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Service(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


class Answering:
    """A worker, as far as probes go: what is sent is done at once. `broken`: probes it does not answer."""

    def __init__(self) -> None:
        self.broken: dict[str, Callable[[], Any]] = {}

    def send(self, task: str, probe: str = "") -> str:
        one = Occurrence(task=task, slot=f"message {task}{probe}", actor="readiness")
        work = self.broken.get(task) or (lambda: _answer(probe) if probe else None)
        perform(one, one.slot, work)
        return one.slot


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Answering:
    found = Answering()
    monkeypatch.setattr(probes, "send", found.send)
    return found


def ticked() -> None:
    """The scheduler sent something just now."""
    name = "dualwrite.relay.sweep"
    TaskRun.objects.create(task=name, schedule=name, slot=f"{name} 1", actor="schedule", status="done")


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "modules" in imports.check(NOWHERE)
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").touch()
    (tmp_path / "broken_package" / "part.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(imports, "packages", lambda: ["broken_package"])
    with pytest.raises(NotReady, match=r"broken_package\.part cannot be imported"):
        imports.check(NOWHERE)


def test_a_task_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "packages", lambda: ["dualwrite.readiness"])
    monkeypatch.delitem(app.tasks, ENTRIES[0].task)
    with pytest.raises(NotReady, match="no task is called"):
        imports.check(NOWHERE)


def test_without_a_mirrored_stream_a_relay_or_a_trigger_the_integration_is_not_ready(
    screener: Session, memberships: Stream
) -> None:
    with pytest.raises(NotReady, match="no stream is mirrored"):
        integration.check(NOWHERE)
    add(screener, "A")
    enabled(memberships)
    with pytest.raises(NotReady, match="stream index_memberships"):
        integration.check(NOWHERE)
    stop = threading.Event()
    with at_work(lambda: worker.run([memberships], stop)):
        try:
            assert "reached the registry" in integration.check(NOWHERE)
        finally:
            stop.set()
    screener.execute("ALTER TABLE index_memberships DISABLE TRIGGER ALL")
    with pytest.raises(CaptureBroken):
        integration.check(NOWHERE)


def test_without_a_worker_a_row_or_a_tick_scheduled_tasks_are_not_ready(
    workers: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked()
    assert "5 tasks were answered" in scheduled.check(NOWHERE)
    TaskRun.objects.filter(actor="readiness").delete()
    workers.broken["dualwrite.retention.drill"] = lambda: 1
    workers.broken["dualwrite.retention.run"] = lambda: {"status": "failed", "sentence": "no"}
    with pytest.raises(NotReady, match=r"dualwrite\.retention\.run: failed"):
        scheduled.check(NOWHERE)
    workers.broken.clear()
    TaskRun.objects.all().delete()
    monkeypatch.setattr(scheduled, "SPARE", -scheduled.SPARE)
    with pytest.raises(NotReady, match="the scheduler did not send"):
        scheduled.check(NOWHERE)
    PeriodicTask.objects.filter(task="dualwrite.retention.run").delete()
    with pytest.raises(NotReady, match=r"no row of the schedule calls dualwrite\.retention\.run"):
        scheduled.check(NOWHERE)


def test_a_message_that_no_worker_takes_is_told_with_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with app.connection_for_write(BROKER) as connection:
        sent = app.send_task("dualwrite.relay.sweep", connection=connection, expires=1)
    with pytest.raises(NotReady, match=r"1 of 1 tasks did not end within 0\.2 s; is there a worker"):
        probes.wait([f"message {sent.id}"], 0.2)
    TaskRun.objects.create(task="dualwrite.validation.run", slot="x", actor="schedule", status="running")
    with pytest.raises(NotReady, match=r"under way: dualwrite\.validation\.run"):
        probes.wait([f"message {sent.id}"], 0.2)


@pytest.fixture
def keyed(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(settings, "INTERNAL_API_KEY", KEY)
    return Service(service.url, KEY)


def test_endpoints_are_asked_with_and_without_a_key(service: Service, keyed: Service) -> None:
    assert endpoints.check(keyed) == "5 addresses, 3 of them closed without a key; all answer to the key"
    with pytest.raises(NotReady, match="INTERNAL_API_KEY is not set here"):
        endpoints.check(service)
    with pytest.raises(NotReady):
        endpoints.check(Service(service.url, "another"))


def test_a_door_that_is_open_is_seen(keyed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention.RetentionStatusView, "needs", {"GET": None}, raising=False)
    with pytest.raises(NotReady, match=r"/actuator/retention/status takes no key"):
        endpoints.check(keyed)


def test_an_address_that_breaks_and_a_service_that_is_not_there_are_named(
    keyed: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("actuator.info.InfoView.get", lambda self, request: broken(self))
    with pytest.raises(NotReady, match=r"/actuator/info answers 500"):
        endpoints.check(keyed)
    with pytest.raises(NotReady, match="does not answer"):
        endpoints.check(NOWHERE)


def test_a_configuration_that_is_not_heard_or_does_not_notice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "read anew" in configuration.check(NOWHERE)
    monkeypatch.setattr(configuration, "fetch", lambda *_: Fetched({"BATCH_SIZE": "4321"}))
    with pytest.raises(NotReady, match="stopped still answers"):
        configuration.check(NOWHERE)
    monkeypatch.setattr(configuration, "fetch", lambda *_: Fetched({"BATCH_SIZE": "1"}))
    with pytest.raises(NotReady, match="4321 and 1 was heard"):
        configuration.check(NOWHERE)


def test_faults_that_are_not_answered_as_they_should_be_are_seen(
    service: Service, workers: Answering, memberships: Stream, registry: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = Service(service.url, KEY)
    monkeypatch.setattr(settings, "INTERNAL_API_KEY", KEY)
    enabled(memberships)
    assert "1 stores that take no writes refused one" in faults.check(keyed)

    TaskRun.objects.all().delete()
    workers.broken[faults.BESIDE] = lambda: {"status": "failed"}
    with pytest.raises(NotReady, match="another one ended as failed"):
        faults.check(keyed)

    TaskRun.objects.all().delete()
    workers.broken = {faults.FAILING: lambda: None}
    with pytest.raises(NotReady, match="a task that failed is kept as done"):
        faults.check(keyed)

    monkeypatch.setattr(problems, "CONTENT_TYPE", "application/json")
    with pytest.raises(NotReady, match="no problem document"):
        faults.check(keyed)
    monkeypatch.undo()
    registry.execute("ALTER TABLE index_memberships DISABLE TRIGGER ALL")
    with pytest.raises(NotReady, match="the registry takes writes of stream index_memberships"):
        faults._writes()


def test_a_role_that_may_too_much_is_named() -> None:
    with pytest.raises(NotReady, match=r"role \w+ may make a table in schema public of the screener"):
        boundaries.check(NOWHERE)


def test_models_that_may_be_related_across_stores_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    boundaries._require_no_relation()
    monkeypatch.setattr("dualwrite.router.DualWriteRouter.allow_relation", lambda *_: True)
    with pytest.raises(NotReady, match="may refer to one of the other store"):
        boundaries._require_no_relation()


def test_watching_that_does_not_keep_or_show_is_seen(
    service: Service, workers: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotReady, match="not everything is watched"):
        watching.check(service)
    TaskRun.objects.all().delete()
    workers.broken[watching.LOOK] = lambda: {"status": "failed", "sentence": "no"}
    with pytest.raises(NotReady, match="ended as failed"):
        watching.check(service)
    assert "families" in watching._scraped(service)
    monkeypatch.setattr(watching, "NEEDED", watching.NEEDED | {"registry_nothing"})
    with pytest.raises(NotReady, match="lacks registry_nothing"):
        watching._scraped(service)


def test_parts_that_are_not_there_are_named_by_the_life_cycle(
    service: Service, memberships: Stream, screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CELERY_BROKER_URL", BROKER)
    monkeypatch.setattr(life, "_workers", lambda: "2 workers")
    with pytest.raises(NotReady, match="nobody schedules"):
        life.check(service)
    with only_run("beat", Named("schedule"), "the"):
        assert "nothing is to be relayed" in life.check(service)
        enabled(memberships)
        with pytest.raises(NotReady, match="no relay works on stream index_memberships"):
            life.check(service)
    screener.execute("SELECT 1")
    monkeypatch.setattr(settings, "DATABASE_ROUTERS", [])
    with pytest.raises(NotReady, match="settings: "):
        life.check(service)


def test_queues_that_nobody_takes_are_named() -> None:
    with pytest.raises(NotReady, match="no worker takes queue watch or work"):
        life._workers()


def test_one_that_breaks_keeps_no_other_from_being_run() -> None:
    def breaks(_: Service) -> str:
        raise ZeroDivisionError("division by zero")

    found = list(prove(NOWHERE, {"one": breaks, "other": lambda _: "seen"}))
    assert [(one.passed, one.evidence) for one in found] == [
        (False, "ZeroDivisionError: division by zero"),
        (True, "seen"),
    ]


def test_the_command_tells_the_chosen_ones_and_exits_by_them(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_readiness", "--check", "config service")
    assert "✓  config service" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        call_command("verify_readiness", "--check", "schema boundaries", "--json")
    assert ended.value.code == 1
    (one,) = json.loads(capsys.readouterr().out)["checks"]
    assert (one["name"], one["passed"]) == ("schema boundaries", False)
    assert set(one) == {"name", "passed", "evidence", "seconds"}
