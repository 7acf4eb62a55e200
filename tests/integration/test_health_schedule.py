"""Worker and scheduler against a real broker and their real rows; validations and canaries against real runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from redis import Redis

from dualwrite.models import HealthRecord, ValidationRun
from dualwrite.monitoring.checks.beat import BeatCheck
from dualwrite.monitoring.checks.canary import CanaryCheck
from dualwrite.monitoring.checks.celery import CeleryCheck
from dualwrite.monitoring.checks.validation import ValidationCheck
from dualwrite.monitoring.health import Check, Result, run_checks
from dualwrite.monitoring.status import Status
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import url_of
from tests.support import enabled

ROOT = Path(__file__).parent.parent.parent
#: A broker that no other test talks to.
BROKER = settings.REDIS_URL.rpartition("/")[0] + "/13"


def result_of(check: Check) -> Result:
    """Run one check."""
    return run_checks([check]).results[0]


@pytest.fixture
def worker(databases: None) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of the project."""
    addresses = {"DATABASE_URL": url_of(Store.REGISTRY), "SCREENER_DATABASE_URL": url_of(Store.SCREENER)}
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "solo", "--loglevel", "error"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | addresses | {"REDIS_URL": BROKER}) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def test_a_worker_that_answers_is_up_and_one_that_is_frozen_is_down_in_time(worker: "subprocess.Popen[bytes]") -> None:
    check = CeleryCheck(url=BROKER, timeout_seconds=1.0)
    deadline = time.monotonic() + 60
    while (found := result_of(check)).status is not Status.UP:
        assert found.status is Status.DOWN
        assert time.monotonic() < deadline, found
    assert len(found.details["workers"]) == 1
    broker = Redis.from_url(BROKER)
    keys = set(broker.keys())
    for _ in range(3):
        assert result_of(check).status is Status.UP
    assert set(broker.keys()) <= keys | {b"unacked_mutex"}, "a question leaves something behind"
    replies = b"_kombu.binding.reply.celery.pidbox"
    assert broker.scard(replies) == 0
    os.kill(worker.pid, signal.SIGSTOP)
    began = time.monotonic()
    frozen = result_of(check)
    assert (frozen.status, frozen.details["error"]) == (Status.DOWN, "no worker answered within 1 s")
    assert time.monotonic() - began < 3
    broker.close()


def test_a_broker_that_is_away_or_says_nothing_is_down_in_time_and_its_password_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (1, silent.getsockname()[1]):
            began = time.monotonic()
            check = CeleryCheck(url=f"redis://:hidden-word@127.0.0.1:{port}/0", limit_seconds=5)
            found = result_of(check)
            assert found.status is Status.DOWN
            assert found.details["error"].startswith("the broker cannot be reached"), found
            assert time.monotonic() - began < 4
            assert "hidden-word" not in f"{found} {check}"


@pytest.fixture
def often(stores: None) -> PeriodicTask:
    """A task of every ten seconds."""
    every, _ = IntervalSchedule.objects.get_or_create(every=10, period=IntervalSchedule.SECONDS)
    return PeriodicTask.objects.create(name="often", task="nothing", interval=every)


def ran(task: PeriodicTask, seconds: float) -> None:
    """It ran so long ago."""
    PeriodicTask.objects.filter(pk=task.pk).update(last_run_at=timezone.now() - timedelta(seconds=seconds))


@pytest.mark.usefixtures("stores")
def test_the_scheduler_is_unknown_where_nothing_is_scheduled() -> None:
    assert result_of(BeatCheck()).status is Status.UNKNOWN


def test_the_scheduler_is_judged_by_what_it_ran(often: PeriodicTask) -> None:
    ran(often, 30)
    assert result_of(BeatCheck()).status is Status.UP
    ran(often, 700)
    found = result_of(BeatCheck())
    assert (found.status, found.details["late"]) == (Status.DOWN, ["often"])
    PeriodicTask.objects.filter(pk=often.pk).update(enabled=False)
    assert result_of(BeatCheck()).status is Status.UNKNOWN


def test_a_daily_task_alone_does_not_make_the_scheduler_green(often: PeriodicTask) -> None:
    soon = timezone.now() + timedelta(hours=2)
    daily, _ = CrontabSchedule.objects.get_or_create(hour=str(soon.hour), minute="0", timezone="UTC")
    PeriodicTask.objects.filter(pk=often.pk).update(interval=None, crontab=daily)
    ran(often, 4 * 3600)
    assert result_of(BeatCheck()).status is Status.UNKNOWN
    ran(often, 40 * 3600)
    assert result_of(BeatCheck()).status is Status.DOWN


def test_validation_is_unknown_until_somebody_looked_then_judged_by_age_and_verdict(
    screener: Session, instruments: Stream
) -> None:
    screener.execute("INSERT INTO public.instruments (symbol, exchange) VALUES ('X', 'NSE')")
    assert result_of(ValidationCheck()).status is Status.UP
    enabled(instruments)
    assert result_of(ValidationCheck()).details["error"] == "instruments: no validation has ended yet"
    validate(instruments, "strict")
    found = result_of(ValidationCheck())
    assert found.status is Status.UP, found
    assert found.details["instruments"]["verdict"] == "passed"
    assert found.details["instruments"]["coverage_age_seconds"] < 60
    assert found.details["index_memberships"]["compared"] is False
    early = timezone.now() - timedelta(hours=27)
    ValidationRun.objects.update(started_at=early, finished_at=early)
    old = result_of(ValidationCheck())
    assert old.status is Status.DOWN
    assert "nobody has validated for 1620 min" in old.details["error"]
    assert "a part was not looked at for 27 h" in old.details["error"]


@pytest.mark.usefixtures("stores")
def test_the_canary_tells_its_age_and_seconds_and_is_unknown_before_the_first(instruments: Stream) -> None:
    assert result_of(CanaryCheck()).status is Status.UP
    enabled(instruments)
    assert result_of(CanaryCheck()).status is Status.UNKNOWN
    at = timezone.now() - timedelta(seconds=100)
    row = HealthRecord.objects.create(at=at, component="canary", subject="instruments", status="UP", seconds=0.25)
    found = result_of(CanaryCheck())
    assert found.status is Status.UP
    assert found.details["instruments"]["canary_seconds"] == 0.25
    assert 100 <= found.details["instruments"]["age_seconds"] < 130
    HealthRecord.objects.filter(pk=row.pk).update(status="DOWN", error="key was not relayed")
    assert result_of(CanaryCheck()).details["error"] == "instruments: key was not relayed"
