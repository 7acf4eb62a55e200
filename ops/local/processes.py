"""Start, recognise and end processes. A pid alone proves nothing: pids are reused and zombies keep theirs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.local.accounts import Account
from ops.local.locks import write_atomically

POLL_SECONDS = 0.02
# Servers outlive the calls that start them; kept so that they are neither reaped unseen nor warned about.
STARTED: list["subprocess.Popen[bytes]"] = []
# Servers that were running already, started by a launcher that is gone: ours to end all the same.
JOINED: list[psutil.Process] = []
QUIET_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def alive(process: psutil.Process) -> bool:
    """Whether it is the same process still and not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def server_in(pid: int, name: str, directory: Path) -> psutil.Process | None:
    """The live process `pid` when it is a server called `name` at work in `directory`, else None."""
    try:
        process = psutil.Process(pid)
        ours = process.name().startswith(name) and Path(process.cwd()) == directory.resolve()
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OSError):
        return None
    return process if ours and alive(process) else None


def servers_in(name: str, directory: Path) -> list[psutil.Process]:
    """Every live process called `name` at work in `directory`; reads the whole process table."""
    found = (server_in(pid, name, directory) for pid in psutil.pids())
    return [process for process in found if process]


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition()` holds; False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(process: psutil.Process, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal and wait that many seconds for the end, then SIGKILL. False when that was needed."""
    for number, seconds in steps:
        send(process, number)
        if until(lambda: not alive(process), seconds):
            return True
    send(process, signal.SIGKILL)
    until(lambda: not alive(process), 10)
    return False


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal a process that may be gone by now."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def start_server(
    command: Sequence[str | Path], account: Account, directory: Path, log: Path, config: str | None = None
) -> "subprocess.Popen[bytes]":
    """Start a server in its own session (Ctrl-C goes to the supervisor first), at work in `directory`.

    `config` goes to its stdin: secrets do not belong on a command line. Output is appended to `log`.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL if config is None else subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=QUIET_ENVIRONMENT,
            start_new_session=True,
            **account.popen(),
        )
    STARTED.append(process)
    if process.stdin and config is not None:
        with process.stdin as pipe:
            pipe.write(config.encode())
    return process


def join(process: psutil.Process) -> None:
    """Remember a running server that this process uses and did not start."""
    if process not in JOINED:
        JOINED.append(process)


def end_servers() -> list[int]:
    """End every server that this process started or joined and that still runs, whatever became of its files."""
    started = [psutil.Process(process.pid) for process in STARTED if process.poll() is None]
    running = [process for process in (*started, *JOINED) if alive(process)]
    for process in running:
        end(process, ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0)))
    return [process.pid for process in running]


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


@dataclass(frozen=True)
class Identity:
    """A process told apart from a later one with the same pid, kept in a file."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Of a process that is running now."""
        return cls(pid, psutil.Process(pid).create_time())

    @classmethod
    def read(cls, path: Path) -> "Identity | None":
        """From a file of `write`; None when that is missing or damaged."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Keep it in `path`."""
        write_atomically(path, json.dumps({"pid": self.pid, "created": self.created}))

    def process(self) -> psutil.Process | None:
        """The process, when it is alive still."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
        except (psutil.NoSuchProcess, ValueError, TypeError):
            return None
        return process if same and alive(process) else None

    def group(self, directory: Path) -> list[psutil.Process]:
        """Live members of the process group it led, at work in `directory`; reads the process table."""
        return [found for found in psutil.process_iter() if self._leads(found, directory)]

    def _leads(self, member: psutil.Process, directory: Path) -> bool:
        try:
            led = os.getpgid(member.pid) == self.pid and member.create_time() >= self.created - 1
            return led and Path(member.cwd()) == directory and alive(member)
        except (psutil.Error, OSError):
            return False
