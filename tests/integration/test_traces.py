"""One id goes through web, tasks, relay, commands and the audit."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from config.celery import app
from config.logs import formatter
from dualwrite import switch, trace
from dualwrite.models import Audit, StreamControl
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from registry.logs import audited
from tests.conftest import TESTER
from tests.integration.admin_site import OPERATE, Operator
from tests.integration.moving import eventually
from tests.logged import LOGGED
from tests.process import ROOT, environment
from tests.support import enabled

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HEADERS = {"X-Request-ID": "of-the-client", "traceparent": GIVEN}
IDS = {"request_id": "of-the-client", "traceparent": GIVEN}
#: A broker that no other test talks to.
BROKER = settings.REDIS_URL.rpartition("/")[0] + "/12"
RETENTION = "dualwrite.retention.run"


class Lines(logging.Handler):
    """Lines as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(formatter("json"))
        self.found: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, str]]]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.found
    logging.getLogger().removeHandler(handler)


def test_ids_of_the_client_are_logged_and_sent_back(lines: list[dict[str, str]]) -> None:
    answer = Client().get("/livez?secret=x", headers=HEADERS)
    assert (answer["X-Request-ID"], answer["traceparent"]) == ("of-the-client", GIVEN)
    (line,) = [one for one in lines if one["event"] == "request_finished"]
    assert line.items() >= {**IDS, "request": "GET /livez", "code": 200}.items()


def test_what_is_no_id_is_not_sent_back_and_whoever_has_none_gets_one() -> None:
    for headers in ({"X-Request-ID": "two words", "traceparent": "nonsense"}, {}):
        answer = Client().get("/livez", headers=headers)
        assert len(answer["X-Request-ID"]) == 36
        assert trace.traceparent(answer["traceparent"]) == answer["traceparent"]
    assert trace.ids() == {}, "a later line of this thread would belong to that request"


def test_an_address_that_there_is_not_and_one_with_a_key_are_logged_without_it(lines: list[dict[str, str]]) -> None:
    Client().get("/actuator/health/NSE:TCS")
    Client().get("/nowhere/NSE:TCS", headers=HEADERS)
    assert "TCS" not in str(lines)
    (warned,) = [one for one in lines if one["event"] == "Not Found: an unknown address"]
    assert warned.items() >= IDS.items(), "Django warns when the middleware is through"
    assert "GET /actuator/health/<str:component>" in [one.get("request") for one in lines]


def test_an_action_in_the_admin_is_audited_with_the_ids_of_its_request(memberships: Stream, stores: None) -> None:
    enabled(memberships)
    anna = Operator(OPERATE)
    anna.client.defaults |= {"HTTP_X_REQUEST_ID": "of-the-client", "HTTP_TRACEPARENT": GIVEN}
    anna.confirms("pause", reason="a look")
    evidence = Audit.objects.filter(verb="pause").latest("id").evidence
    assert evidence is not None
    assert evidence["trace"] == IDS


def test_a_command_is_a_request_of_its_own(memberships: Stream, stores: None) -> None:
    enabled(memberships)
    for verb in ("pause", "resume"):
        call_command("dualwrite", verb, "--stream", memberships.name)
    evidence = [row.evidence for row in Audit.objects.filter(verb__in=("pause", "resume"))]
    assert len({one["trace"]["request_id"] for one in evidence if one}) == 2


def test_what_is_done_for_nobody_has_no_ids(stores: None) -> None:
    switch.audit(Store.REGISTRY, TESTER, "test")
    assert Audit.objects.get(verb="test").evidence is None


@pytest.mark.usefixtures("stores")
def test_business_data_is_audited_with_the_id_as_well() -> None:
    with trace.begun():
        assert audited("anna", "update", "x", "k").request_id == trace.ids()["request_id"]
    assert audited("anna", "update", "x", "k").request_id is None


def test_a_question_asked_on_a_thread_of_its_own_belongs_to_who_asks() -> None:
    with trace.begun():
        (outcome,) = side_by_side([Task("who asks", trace.ids, 5.0)])
        assert outcome.value == trace.ids()


def test_each_batch_of_the_relay_has_ids_and_names_its_stream(
    screener: Session, memberships: Stream, lines: list[dict[str, str]]
) -> None:
    enabled(memberships)
    lane = worker.Lane(memberships)
    for because in ("the one", "the other"):
        StreamControl.objects.update(held_because=because)
        lane.step()
    lane.close()
    told = [one for one in lines if "stands still" in one["event"]]
    assert [one["stream"] for one in told] == [memberships.name] * 2
    assert len({one["request_id"] for one in told}) == 2


@pytest.mark.usefixtures("stores")
def test_a_task_logs_with_the_ids_of_who_asked_for_it_and_one_of_the_schedule_with_its_own(tmp_path: Path) -> None:
    written = tmp_path / "worker"
    variables = environment(REDIS_URL=BROKER, LOG_LEVEL="INFO")
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "solo", "--loglevel", "error"]
    with (
        written.open("w") as log,
        subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stderr=log) as process,
    ):
        try:
            with app.connection_for_write(BROKER) as broker:
                with trace.begun(secret_word="not to be sent"):
                    ids = trace.ids()
                    app.send_task(RETENTION, connection=broker)
                app.send_task(RETENTION, connection=broker, headers={})
            eventually(lambda: len(ended(written)) == 2, 60)
        finally:
            process.terminate()
    LOGGED.read(written.read_text())
    asked, scheduled = ended(written)
    assert asked.items() >= ids.items()
    assert "secret_word" not in asked
    assert scheduled["request_id"] != asked["request_id"]
    assert scheduled["traceparent"] != asked["traceparent"]


def ended(written: Path) -> list[dict[str, str]]:
    """The lines that say that a task has ended."""
    found = [json.loads(line) for line in written.read_text().splitlines() if line.startswith("{")]
    return [one for one in found if one["event"] == "task_succeeded"]
