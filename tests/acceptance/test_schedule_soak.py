"""Real schedulers and workers at accelerated intervals, killed at random: each occurrence is done once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks
from redis import Redis

from dualwrite.models import TaskRun, TaskStatus
from dualwrite.schedule.entries import seed
from tests.process import ROOT, environment

#: A broker that no other test talks to.
BROKER = settings.REDIS_URL.rpartition("/")[0] + "/12"
TASKS = {"dualwrite.validation.run": 4, "dualwrite.monitoring.check": 5, "dualwrite.relay.sweep": 1}
WATCHED = ("dualwrite.validation.run", "dualwrite.monitoring.check")
#: A machine that is busy may take long to begin what is due; what is late is not what is asked here.
EXPIRES_SECONDS = 120


class Process:
    """A scheduler or worker that is started again when it was killed."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name, self._arguments = name, arguments
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config", *self._arguments, "--loglevel", "error"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(REDIS_URL=BROKER),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self, *, child: bool = False) -> None:
        """All of it, and start it again; or a child of it only, which it replaces itself."""
        children = psutil.Process(self.process.pid).children() if child else []
        if children:
            children[0].kill()
            return
        self.end()
        self.start()

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running() -> Iterator[dict[str, Process]]:
    """Two schedulers and two workers, of which each takes everything."""
    with ExitStack() as stack:
        found = {}
        for number in (1, 2):
            worker = ("worker", "-Q", "watch,work", "-n", f"w{number}@%h", "--concurrency", "1")
            for name, arguments in ((f"worker {number}", worker), (f"beat {number}", ("beat", "--pidfile="))):
                found[name] = Process(name, *arguments)
                stack.callback(found[name].end)
        yield found


@pytest.fixture
def accelerated(stores: None) -> Iterator[None]:
    """The schedule in seconds, on a broker of its own."""
    TaskRun.objects.all().delete()
    PeriodicTask.objects.all().delete()
    seed()
    PeriodicTask.objects.exclude(task__in=TASKS).delete()
    for task, seconds in TASKS.items():
        interval = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)[0]
        PeriodicTask.objects.filter(task=task).update(interval=interval, expire_seconds=EXPIRES_SECONDS)
    PeriodicTasks.update_changed()
    with Redis.from_url(BROKER) as broker:
        broker.flushdb()
        yield
        broker.flushdb()


def until(what: Callable[[], bool], seconds: float) -> None:
    """Wait for it; fails when it takes longer than any machine."""
    pace, end = threading.Event(), time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, by_slot()
        pace.wait(0.2)


def by_slot() -> dict[str, dict[str, list[str]]]:
    """Of each task, the statuses of each occurrence's attempts."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for task, slot, status in TaskRun.objects.order_by("pk").values_list("task", "slot", "status"):
        found[task][slot].append(status)
    return found


def done(task: str) -> int:
    return TaskRun.objects.filter(task=task, status=TaskStatus.DONE).count()


def more(task: str, number: int, seconds: float = 120) -> None:
    """Wait until so many more occurrences of the task are done."""
    before = done(task)
    until(lambda: done(task) >= before + number, seconds)


def soak(kills: int, dice: random.Random) -> None:
    with running() as processes:
        for task in WATCHED:
            until(lambda task=task: done(task) > 0, 120)  # type: ignore[misc]
        order = ["beat 1", "worker 1", "worker 2", "beat 2"]
        for turn in range(kills):
            name = order[turn % len(order)] if kills <= len(order) else dice.choice(order)
            processes[name].kill(child=name.startswith("worker") and dice.random() < 0.5)
            more(dice.choice(WATCHED), 1)
        for task in WATCHED:
            more(task, 2)
            PeriodicTask.objects.filter(task=task).update(enabled=False)
        PeriodicTasks.update_changed()
        until(lambda: not TaskRun.objects.filter(task__in=WATCHED, status__in=("queued", "running")).exists(), 120)
    require_each_once()


def require_each_once() -> None:
    """Every occurrence was done once, or refused because one was under way just then; none was left out."""
    found = by_slot()
    for task in WATCHED:
        numbers = [int(slot.split()[1]) for slot in found[task]]
        assert numbers == list(range(1, len(numbers) + 1)), "an occurrence was left out"
        for slot, statuses in found[task].items():
            ended = [status for status in statuses if status in (TaskStatus.DONE, TaskStatus.REFUSED)]
            assert len(ended) == 1, (slot, statuses)
            assert set(statuses) - set(ended) <= {TaskStatus.CRASHED}, (slot, statuses)


@pytest.mark.alone
@pytest.mark.usefixtures("accelerated")
def test_whatever_is_killed_every_occurrence_is_done_once() -> None:
    soak(3, random.Random(5))


@pytest.mark.deep
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("accelerated")
def test_whatever_is_killed_for_long_every_occurrence_is_done_once() -> None:
    soak(60, random.Random(os.environ.get("SOAK_SEED", "7")))
