"""The pages of worker and relay, on ports of their own."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from dualwrite.monitoring import page
from dualwrite.monitoring.page import Page
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests import process
from tests.support import add, enabled

APPLIED = 'registry_dualwrite_operation_seconds_count{store="registry",stream="index_memberships"}'


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def shown(port: int, words: str, seconds: float = 30.0) -> str:
    """The page, once it has these words."""
    deadline, text = time.monotonic() + seconds, ""
    while words not in text:
        assert time.monotonic() < deadline, text or f"no page on port {port}"
        time.sleep(0.1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            continue
    return text


def test_a_relay_shows_what_it_did(screener: Session, memberships: Stream) -> None:
    enabled(memberships)
    port = free_port()
    relay = process.start("relay", "--metrics-port", str(port))
    try:
        shown(port, "python_info")
        add(screener, "A")
        found = shown(port, f"{APPLIED} ")
        assert "registry_dualwrite_outbox_pending" not in found  # the web server's to show
    finally:
        relay.send_signal(signal.SIGTERM)
        _, wrong = relay.communicate(timeout=30)
    assert (relay.returncode, "Traceback" in wrong) == (0, False), wrong


def test_a_worker_shows_what_its_processes_did(stores: None, tmp_path: Path) -> None:
    port = free_port()
    own = {"WORKER_METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts")}
    (tmp_path / "counts").mkdir()
    (tmp_path / "counts" / "counter_1.db").write_bytes(b"left by the one before")
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--concurrency", "1", "--loglevel", "error"]
    worker = subprocess.Popen(command, cwd=process.ROOT, env=process.environment(**own))
    try:
        assert "registry_metrics_unreadable_files 0.0" in shown(port, "python_info", 60)
        assert not (tmp_path / "counts" / "counter_1.db").exists()
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(30)
        finally:
            worker.kill()
            worker.wait()


def test_a_page_waits_for_a_port_that_is_taken_and_gives_it_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(page, "AGAIN_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        port = taken.getsockname()[1]
        waiting = Page(port)
        waiting.start()
        time.sleep(0.3)
    try:
        shown(port, "python_info")
        assert caplog.text.count("trying again") == 1
    finally:
        waiting.stop()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_without_a_port_there_is_no_page() -> None:
    nothing = Page(0)
    nothing.start()
    nothing.stop()
    assert nothing._thread is None


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    done = process.managed("relay", "--metrics-port", port)
    assert done.returncode == 2
    assert "is no port" in done.stderr


def test_ports_of_the_environment_are_the_default() -> None:
    env = {"RELAY_METRICS_PORT": "nonsense", "PATH": os.environ["PATH"]}
    done = process.manage("relay", "--help", **env)
    assert done.returncode != 0
    assert "RELAY_METRICS_PORT" in done.stderr + done.stdout
