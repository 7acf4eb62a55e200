"""Processes of the product, run as a user would run them, against the test databases."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connections

import manage as program
from dualwrite import failpoints
from dualwrite.stages import Store
from tests.conftest import url_of
from tests.logged import LOGGED

ROOT = Path(__file__).parent.parent


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that works on the test databases."""
    stores = {"DATABASE_URL": url_of(Store.REGISTRY), "SCREENER_DATABASE_URL": url_of(Store.SCREENER)}
    own = {"MIGRATION_DATABASE_URL": "", "SCREENER_MIGRATION_DATABASE_URL": ""}
    allowed = {"INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED": "true"}
    return {**os.environ, **own, **stores, **allowed, "LOG_FORMAT": "json", **changes}


def manage(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    LOGGED.read(done.stderr)
    return done


def managed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same within this process, for words that are refused: starting another takes a hundred times as long."""
    told, wrong = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(wrong), pytest.raises(SystemExit) as ended:
        program.CommandLine(["manage.py", *arguments]).execute()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), told.getvalue(), wrong.getvalue())


def start(*arguments: str, **changes: str) -> "subprocess.Popen[str]":
    """Start a management command and leave it running."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**changes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_at(place: str, work: Callable[[], object], nth: int = 1) -> None:
    """Do the work in a process of its own, which gets SIGKILL when it reaches that place for the nth time."""
    left = iter(range(nth - 1, -1, -1))

    def reached() -> None:
        if next(left, -1) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            for alias in connections:
                connections[alias].connection = None  # the parent's: closing it would end it there
            failpoints.at(place, reached)
            work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it did not come to {place}, {nth} times"
    assert os.WTERMSIG(status) == signal.SIGKILL
