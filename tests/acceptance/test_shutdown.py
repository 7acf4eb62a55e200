"""Told to stop at load: requests under way are answered, no key is lost, no lock is left."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from dualwrite.control.enable import enable
from dualwrite.models import RetentionPolicy
from dualwrite.relay import worker
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from ops.local import ports
from tests.conftest import INTERNAL_KEY, TESTER
from tests.process import ROOT, environment, start
from tests.support import add, at_work, mirrored, one

pytestmark = pytest.mark.alone

REQUESTS = 4
KEY = {"X-Internal-API-Key": INTERNAL_KEY}
ADVISORY = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for it; fails when it takes longer than any machine."""
    pace, end = threading.Event(), time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        pace.wait(0.05)


@contextmanager
def serving() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The web server with one process of as many threads; yields it and its port."""
    port = ports.choose(None)
    command = [sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi", "--workers", "1"]
    command += ["--threads", str(REQUESTS), "--graceful-timeout", "60", "--no-control-socket"]
    with subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}"],
        cwd=ROOT,
        env=environment(INTERNAL_API_KEY=INTERNAL_KEY),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: ready(port))
            yield process, port
        finally:
            process.kill()


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def refuses(port: int) -> bool:
    """Whether it takes no more."""
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) != 0


def no_lock_is_left() -> bool:
    found = []
    for store in Store:
        with dedicated(store, "test") as session:
            found.append(one(session, ADVISORY))
    return found == [0, 0]


def test_requests_under_way_are_answered_and_nothing_is_left_of_the_web_server(registry: Session) -> None:
    with serving() as (process, port), dedicated(Store.REGISTRY, "test") as holder:
        with ThreadPoolExecutor(REQUESTS) as pool:
            with holder.transaction():
                holder.execute(f"LOCK TABLE {RetentionPolicy._meta.db_table} IN ACCESS EXCLUSIVE MODE".encode())
                url = f"http://127.0.0.1:{port}/actuator/retention/status"
                asked = [pool.submit(httpx.get, url, headers=KEY, timeout=90) for _ in range(REQUESTS)]
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
                until(lambda: one(registry, waiting, RetentionPolicy._meta.db_table) == REQUESTS)
                process.send_signal(signal.SIGTERM)
                until(lambda: refuses(port))
            assert [found.result().status_code for found in asked] == [200] * REQUESTS
        assert process.wait(60) == 0
    until(no_lock_is_left)


def test_a_relay_that_is_told_to_stop_under_writes_loses_no_key_and_leaves_no_lock(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enable(memberships, TESTER)
    stop, written = threading.Event(), list[str]()

    def write() -> None:
        with dedicated(Store.SCREENER, "writer") as session:
            while not stop.is_set():
                add(session, f"S{len(written)}", weight=len(written) % 100)
                written.append(f"NSE:S{len(written)}")

    with at_work(write):
        try:
            with start("relay") as process:
                until(lambda: len(mirrored(registry)) > 0)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, process.stderr.read() if process.stderr else ""
        finally:
            stop.set()
    until(no_lock_is_left)
    worker.drain(memberships)
    assert len(mirrored(registry)) == len(written)
