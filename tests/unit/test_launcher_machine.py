"""Ports, accounts, locks and process identities of the launcher."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ops.local import ports, processes
from ops.local.accounts import Account, private_directory
from ops.local.cli import main
from ops.local.errors import LauncherError
from ops.local.locks import Lock
from ops.local.processes import Identity

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_free_port_of_last_time_is_kept() -> None:
    port = ports.choose(None)
    assert ports.choose(port) == port


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.answers(port)
        other = ports.choose(port)
    assert other != port
    assert ports.is_free(other)


@pytest.mark.parametrize("port", [-1, 70000])
def test_an_impossible_port_is_not_free(port: int) -> None:
    assert not ports.is_free(port)


def test_a_closed_parent_directory_keeps_another_account_out(tmp_path: Path) -> None:
    inside = tmp_path / "closed" / "open"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    stranger = Account(uid=os.geteuid() + 4711, gid=os.getegid() + 4711, switch=True)
    assert not stranger.can_pass(inside)
    assert Account(os.geteuid(), os.getegid(), switch=False).can_pass(inside)


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(LauncherError, match="not a directory that belongs to this user alone"):
        private_directory(shared)


def test_a_link_in_place_of_our_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(LauncherError, match="remove it"):
        private_directory(tmp_path / "link")


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"import pathlib, time; from ops.local.locks import Lock; print(Lock(pathlib.Path({str(path)!r}))"
    code += ".take(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lock = Lock(path)
        assert not lock.take()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lock.take()
        lock.release()


def test_an_identity_file_finds_its_process_again_and_no_other(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP) as process:
        identity = Identity.of(process.pid)
        identity.write(tmp_path / "id.json")
        assert Identity.read(tmp_path / "id.json") == identity
        assert identity.process() is not None
        assert Identity(process.pid, identity.created - 100).process() is None
        process.kill()
    assert identity.process() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_identity_file_names_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "id.json"
    path.write_text(text)
    assert Identity.read(path) is None


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(SLEEP) as process:
        found = psutil.Process(process.pid)
        assert processes.alive(found)
        process.kill()
        assert processes.until(lambda: not processes.alive(found), 5)


def test_a_process_that_ignores_the_first_signal_is_killed() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code += "; print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not processes.end(psutil.Process(process.pid), ((signal.SIGTERM, 0.2),))
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("port", ["0", "-1", "65536", "99999", "abc", "", "\u0662"])
@pytest.mark.parametrize("rest", [[], ["once"], ["test"]])
def test_a_port_that_does_not_exist_is_refused_as_usage(
    port: str, rest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([f"--port={port}", *rest])
    assert caught.value.code == 2
    assert "valid are 1 to 65535" in capsys.readouterr().err


def test_doctor_after_an_option_does_not_start_anything() -> None:
    assert main(["--port", "8087", "doctor"]) == 2


def test_an_unknown_command_lists_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    for name in ("once", "test", "check", "bench", "manage", "stop", "doctor", "psql"):
        assert name in message
