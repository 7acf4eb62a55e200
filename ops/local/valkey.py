"""The embedded Valkey (speaks Redis' protocol): broker of the tasks, nothing in it must survive."""

import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.local import ports, processes
from ops.local.accounts import Account
from ops.local.errors import LauncherError
from ops.local.locks import write_atomically

STOP = ((signal.SIGTERM, 5.0),)


@dataclass(frozen=True)
class Valkey:
    """One server at work in `home`/valkey."""

    home: Path
    program: Path
    account: Account
    log: Path

    @property
    def directory(self) -> Path:
        """Its working directory, with the file it writes its pid into."""
        return self.home / "valkey"

    @property
    def _port_file(self) -> Path:
        return self.home / "valkey.port"

    def running(self) -> psutil.Process | None:
        """The server, when it is alive."""
        pid = _number_in(self.directory / "pid")
        return processes.server_in(pid, "valkey", self.directory) if pid else None

    def port(self) -> int | None:
        """Where the running server listens."""
        return _number_in(self._port_file) if self.running() else None

    def ensure(self, password: str) -> tuple[int, bool]:
        """Have the server answer. Returns its port and whether it was started by this call."""
        found, port = self.running(), self.port()
        if found and port and _pong(port, password):
            processes.join(found)
            return port, False
        self.stop()
        self.directory.mkdir(mode=0o700, exist_ok=True)
        self.account.give(self.directory)
        return self._start(password), True

    def _start(self, password: str) -> int:
        for preferred in (_number_in(self._port_file), None, None):
            port = ports.choose(preferred)
            write_atomically(self._port_file, f"{port}\n")
            process = processes.start_server(
                [self.program, "-"], self.account, self.directory, self.log, self._config(port, password)
            )
            if self._wait_until_ready(process, port, password):
                return port
        raise LauncherError(f"Valkey did not start; the end of {self.log}:\n{processes.tail(self.log)}")

    def _config(self, port: int, password: str) -> str:
        lines = [
            f"bind {ports.LOOPBACK}",
            f"port {port}",
            f"requirepass {password}",
            'save ""',
            "appendonly no",
        ]
        return "\n".join([*lines, f"pidfile {self.directory / 'pid'}", "daemonize no", ""])

    @staticmethod
    def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, password: str) -> bool:
        processes.until(lambda: _pong(port, password) or process.poll() is not None, 30)
        return process.poll() is None and _pong(port, password)

    def stop(self) -> bool:
        """End the server. False when none was running."""
        process = self.running()
        if process is None:
            return False
        processes.end(process, STOP)
        return True


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _pong(port: int, password: str) -> bool:
    """Whether a server on `port` knows `password` and answers."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.readline().startswith(b"+OK") and answer.readline().startswith(b"+PONG")
    except OSError:
        return False
