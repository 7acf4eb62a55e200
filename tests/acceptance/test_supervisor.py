"""`./run` as a whole, in a copy of the checkout with data and a port of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from ops.local import environment, ports, processes
from ops.local.place import ROOT

pytestmark = [pytest.mark.own_servers, pytest.mark.alone]

NOT_COPIED = shutil.ignore_patterns(".*", "var", "__pycache__")
START_SECONDS = 60.0
NAMES = ("web", "beat", "worker", "watch", "relay", "config")


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    """A second checkout that shares only the installed packages."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    shutil.copytree(ROOT, root, ignore=NOT_COPIED, dirs_exist_ok=True)
    (root / ".venv").symlink_to(ROOT / ".venv")
    yield root
    run(root, "stop")
    shutil.rmtree(root)


def variables() -> dict[str, str]:
    """This process's environment without the servers it was given, so that the copy starts its own."""
    unwanted = (*environment.DATABASES, *environment.MIGRATION, "REDIS_URL", "SECRET_KEY")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`./run ARGUMENTS` to its end."""
    command = [str(root / "run"), *arguments]
    return subprocess.run(command, env=variables(), capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def serving(root: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """`./run` up and serving; yields its process and the file with its log. Killed at the end."""
    log = root / "run-under-test"
    command = [str(root / "run"), "--port", str(ports.choose(None))]
    with (
        log.open("w") as output,
        subprocess.Popen(command, env=variables(), stderr=output, text=True) as process,
    ):
        try:
            decided = processes.until(
                lambda: "serving on" in log.read_text() or process.poll() is not None, START_SECONDS
            )
            assert decided, log.read_text()
            assert process.poll() is None, log.read_text()
            yield process, log
        finally:
            process.kill()


def pid_of(root: Path, name: str) -> int:
    """The pid noted for the supervised process `name`."""
    return int(json.loads((root / "var" / "pids" / f"{name}.json").read_text())["pid"])


def left_over(root: Path) -> list[str]:
    """Command lines of live processes that belong to the copy."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def test_all_of_readiness_is_proven_a_second_run_refused_and_everything_stopped_in_order(copy: Path) -> None:
    with serving(copy) as (process, log):
        assert " starting up" in log.read_text()
        proven = run(copy, "manage", "verify_readiness", "--json")
        checks = json.loads(proven.stdout)["checks"]
        assert [one["name"] for one in checks if not one["passed"]] == [], proven.stdout
        assert (len(checks), proven.returncode) == (9, 0)
        second = run(copy, "--port", "1")
        assert second.returncode == 4
        assert re.search(rf"running already .*pid {process.pid}, since \d{{4}}-", second.stderr)
        require_pages_of_all_processes(copy, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        stopped = re.findall(r"stopped (\w+)", log.read_text())
        assert stopped == ["web", "beat", "worker", "watch", "relay", "config", "Valkey", "PostgreSQL"]
    assert left_over(copy) == []


def require_pages_of_all_processes(copy: Path, log: Path) -> None:
    """Every service shows what all its processes count, whatever a killed one left."""
    web = psutil.Process(pid_of(copy, "web"))
    shown = {name: psutil.Process(pid_of(copy, name)).environ() for name in ("worker", "relay")}
    addresses = [f"127.0.0.1:{shown[name][f'{name.upper()}_METRICS_PORT']}" for name in shown]
    mine = next(c.laddr.port for c in web.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
    for address in (*addresses, f"127.0.0.1:{mine}"):
        assert processes.until(partial(is_shown, address), 30), log.read_text()
    asked = [requests(page(f"127.0.0.1:{mine}")) for _ in range(20)]
    assert asked == sorted(asked)
    assert asked[-1] - asked[0] == 19, "each page is that of one process, not of all"
    left_by_killed(copy).touch()
    web.children()[0].kill()
    assert processes.until(lambda: len(web.children()) == 2, 20)
    after = page(f"127.0.0.1:{mine}")
    assert requests(after) > asked[-1]
    assert "registry_metrics_unreadable_files 1.0" in after
    assert "registry_dualwrite_stage" in after


def left_by_killed(copy: Path) -> Path:
    """A file of counts without a byte in it."""
    return copy / "var" / "metrics" / "web" / "counter_1.db"


def test_what_is_killed_comes_back_and_after_the_supervisor_the_next_run_takes_over(copy: Path) -> None:
    with serving(copy) as (process, log):
        before = {name: pid_of(copy, name) for name in NAMES}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        kill_postgres(process.pid)
        assert processes.until(lambda: not set(before.values()) & set(pids(copy)), 30), log.read_text()
        assert processes.until(lambda: log.read_text().count("started PostgreSQL") == 2, 30), log.read_text()
        assert run(copy, "psql", "screener", "-Atc", "SELECT 'alive'").stdout == "alive\n"
        left_by_killed(copy).touch()
        orphans = [psutil.Process(pid) for pid in pids(copy)]
        process.kill()
    with serving(copy) as (process, log):
        for name in NAMES:
            assert f"stopped {name}, left behind by a ./run that was killed" in log.read_text()
        assert not [each for each in orphans if processes.alive(each)]
        assert not left_by_killed(copy).exists()
        assert run(copy, "stop").returncode == 0
        assert process.wait(timeout=10) == 0
    assert left_over(copy) == []


def is_shown(address: str) -> bool:
    """Whether there is a page."""
    return "python_info" in page(address)


def page(address: str) -> str:
    """The metrics shown there; empty when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return ""


def requests(shown: str) -> float:
    """How many requests the page says there were."""
    return float(re.findall(r"^django_http_requests_before_middlewares_total (\S+)$", shown, re.M)[0])


def pids(root: Path) -> list[int]:
    """The pids of all supervised processes."""
    return [pid_of(root, name) for name in NAMES]


def kill_postgres(supervisor: int) -> None:
    """SIGKILL the postmaster among the supervisor's children."""
    children = psutil.Process(supervisor).children()
    next(child for child in children if child.name() == "postgres").send_signal(signal.SIGKILL)


def test_with_the_state_directory_deleted_a_signal_still_ends_everything(copy: Path) -> None:
    assert run(copy, "psql", "screener", "-Atc", "SELECT 1").stdout == "1\n"
    # So ./run joins servers that are not its children.
    with serving(copy) as (process, log):
        web, family = pid_of(copy, "web"), psutil.Process(process.pid).children(recursive=True)
        assert processes.until(lambda: deleted(copy / "var"), 20)
        os.kill(web, signal.SIGKILL)
        assert processes.until(lambda: "No such file or directory" in log.read_text(), 30), log.read_text()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=90)
        assert [each for each in family if processes.alive(each)] == []
        assert "Traceback" not in log.read_text()
    assert left_over(copy) == []


def deleted(directory: Path) -> bool:
    """Delete what can be deleted below servers that write there meanwhile. Whether nothing is left."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def test_an_unknown_benchmark_is_refused_before_anything_is_installed_or_started(copy: Path) -> None:
    (copy / ".venv").rename(copy / "hidden")
    try:
        refused = run(copy, "bench", "nope")
        assert refused.returncode == 2
        assert "capture|relay" in refused.stderr
        assert not (copy / ".venv").exists()
    finally:
        (copy / "hidden").rename(copy / ".venv")


def test_an_unknown_option_of_doctor_is_refused(copy: Path) -> None:
    assert run(copy, "doctor", "--nope").returncode == 2


def test_a_test_run_that_finds_no_test_is_a_failure(copy: Path) -> None:
    found = run(copy, "test", "tests/unit/test_launcher_machine.py", "-k", "no_such_test")
    assert found.returncode == 1
    assert "deselected" in found.stdout


def test_stopping_when_nothing_runs_is_no_error(copy: Path) -> None:
    stopped = run(copy, "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "nothing was running\n")
