"""Supervised processes whose files cannot be written or are gone, with a stand-in for the programs."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.local import ports, processes
from ops.local.place import Place
from ops.local.processes import Identity
from ops.local.supervisor import Child, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); print(1, flush=True)"
    "; time.sleep(60)",
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A state directory of its own."""
    return Place(tmp_path / "var").create()


@pytest.fixture
def child() -> Iterator[Child]:
    """One process to supervise, ended in the end."""
    made = Child("web", SLEEP)
    yield made
    made.end(1, lambda: True)


def look_after(place: Place, child: Child) -> None:
    """One look of a supervisor."""
    Supervisor(place, ports.choose(None), lambda: {})._look_after(child)


def test_a_child_ends_although_the_state_directory_is_gone(place: Place, child: Child) -> None:
    child.start(place, os.environ)
    child.note(place)
    assert child.process is not None
    shutil.rmtree(place.var)
    assert child.end(5, lambda: False) == ""
    assert child.process.returncode is not None


def test_a_child_that_ignores_sigterm_is_killed_with_its_group_although_its_files_are_gone(place: Place) -> None:
    child = Child("web", STUBBORN)
    child.start(place, os.environ)
    assert child.process is not None
    leader = psutil.Process(child.process.pid)
    assert processes.until(lambda: place.log("web").read_text().count("1") == 2, 10)
    family = [leader, *leader.children()]
    assert len(family) == 2
    shutil.rmtree(place.var)
    began = time.monotonic()
    assert "killed" in child.end(0.2, lambda: False)
    assert time.monotonic() - began < 5
    assert processes.until(lambda: not any(map(processes.alive, family)), 5)


def test_a_child_that_cannot_be_noted_runs_and_is_noted_as_soon_as_it_can(
    place: Place, child: Child, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.var / "pids").rmdir()
    look_after(place, child)
    assert child.process is not None
    assert child.process.poll() is None
    assert "web: [Errno 2]" in capsys.readouterr().err
    place.create()
    look_after(place, child)
    assert Identity.read(place.pid("web")) == child.identity


def test_a_child_that_cannot_be_started_is_tried_again_later(
    place: Place, child: Child, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(place.var)
    look_after(place, child)
    assert child.process is None
    assert child.due > time.monotonic()
    assert capsys.readouterr().err.count("\n") == 1
    place.create()
    child.due = time.monotonic()
    look_after(place, child)
    assert child.process is not None


def test_servers_that_cannot_be_looked_after_are_told_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    calls = iter([None, OSError("No space left on device"), OSError("No space left on device")])

    def keep() -> dict[str, str]:
        trouble = next(calls)
        if trouble:
            raise trouble
        return {}

    supervisor = Supervisor(place, ports.choose(None), keep)
    supervisor._look_after_servers()
    supervisor._look_after_servers()
    assert capsys.readouterr().err.count("No space left on device") == 1
