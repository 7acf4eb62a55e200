"""The embedded PostgreSQL: made once, started or joined, stopped; one cluster in one directory.

It listens on a loopback port only, with passwords (scram), and has no Unix socket: no path length to mind,
nothing left behind by a crash. The wheel's own launcher is not used because it takes a dead server for a
running one.
"""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from ops.local import ports, processes
from ops.local.accounts import Account
from ops.local.errors import LauncherError
from ops.local.locks import write_atomically
from ops.local.say import say

SUPERUSER = "postgres"
FAST_STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))
NOW_STOP = ((signal.SIGQUIT, 5.0),)
SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "150",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# Survives the death of a process, not that of the machine; tests kill processes.
THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}
#: Nobody else gets at a server of tests: to hash the password 4,096 times at every connection protects nothing.
FAST_INITDB = ["--no-sync", "--set", "scram_iterations=1"]
REFUSED = (
    "The server on port {port} refuses the password of POSTGRES_URL in the credentials file (var/credentials); "
    "delete that file and new ones are made, the data is kept."
)
ADDRESS_TAKEN = "Address already in use"


@dataclass(frozen=True)
class Postgres:
    """One cluster below `home`; `durable` false trades crash safety for speed."""

    home: Path
    bin: Path
    account: Account
    log: Path
    durable: bool = True

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self.home / "postgres"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own lock file: pid, directory, start time, port, one a line."""
        return self.data / "postmaster.pid"

    def running(self) -> psutil.Process | None:
        """The postmaster of this cluster, when alive; any other process its file names does not count."""
        line = self._pid_line(0)
        return processes.server_in(line, "postgres", self.data) if line else None

    def port(self) -> int | None:
        """Where the running server listens."""
        return self._pid_line(3) if self.running() else None

    def _pid_line(self, number: int) -> int | None:
        try:
            return int(self.pid_file.read_text().splitlines()[number])
        except (OSError, ValueError, IndexError):
            return None

    def ensure(self, password: str) -> tuple[int, bool]:
        """Have the server accept connections. Returns its port and whether it was started by this call.

        The caller holds the services' lock. Raises LauncherError with the end of the server's log.
        """
        found = self.running()
        if found and self._wait_until_ready(None, password):
            processes.join(found)
            return self.port() or 0, False
        if not self.data.exists():
            self._initialise(password)
        self._clear_remains()
        self._start(password)
        return self.port() or 0, True

    def _initialise(self, password: str) -> None:
        """Make the cluster under another name and rename it: half a cluster is never taken for one."""
        partial = self.home / "postgres.new"
        (self.home / "provisioned").unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        secret = self.home / "initial-password"
        write_atomically(secret, f"{password}\n")
        self.account.give(partial)
        self.account.give(secret)
        command: list[Path | str] = [self.bin / "initdb", "-D", partial, "-U", SUPERUSER]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}", *([] if self.durable else FAST_INITDB)]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
        try:
            made = self._run(command)
        finally:
            secret.unlink()
        if made.returncode != 0:
            raise LauncherError(f"The database cluster could not be made in {partial}:\n{made.stderr.strip()}")
        partial.rename(self.data)

    def _run(self, command: list[Path | str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.home,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env=processes.QUIET_ENVIRONMENT,
            **self.account.popen(),
        )

    def _clear_remains(self) -> None:
        """Let orphaned backends of a killed postmaster end, then remove the file that still names it."""
        if not self.pid_file.exists():
            return
        # PostgreSQL refuses to start while such a backend holds shared memory; they end by themselves soon.
        processes.until(lambda: not processes.servers_in("postgres", self.data), 10)
        for orphan in processes.servers_in("postgres", self.data):
            processes.end(orphan, NOW_STOP)
        self.pid_file.unlink(missing_ok=True)

    def _start(self, password: str) -> None:
        """Start on the port of last time, or another one when that is taken."""
        for preferred in (self._last_port(), None, None):
            port = ports.choose(preferred)
            seen = self.log.stat().st_size if self.log.exists() else 0
            process = processes.start_server(self._command(port), self.account, self.data, self.log)
            if self._wait_until_ready(process, password, port):
                write_atomically(self._port_file, f"{port}\n")
                return
            with self.log.open("rb") as log:
                log.seek(seen)
                if ADDRESS_TAKEN.encode() not in log.read():
                    break
        raise LauncherError(f"PostgreSQL did not start; the end of {self.log}:\n{processes.tail(self.log)}")

    @property
    def _port_file(self) -> Path:
        return self.home / "postgres.port"

    def _last_port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return None

    def _command(self, port: int) -> list[str | Path]:
        settings = SETTINGS | {"port": str(port)} | ({} if self.durable else THROW_AWAY)
        command: list[str | Path] = [self.bin / "postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _wait_until_ready(
        self, process: "subprocess.Popen[bytes] | None", password: str, port: int | None = None
    ) -> bool:
        """Wait for a connection as long as the server lives: crash recovery takes what it takes."""
        ready = False

        def decided() -> bool:
            nonlocal ready
            ready = self._accepts(port or self.port(), password)
            return ready or (process.poll() is not None if process else not self.running())

        while not processes.until(decided, 10):
            say("PostgreSQL is not ready yet; after a crash it recovers first")
        return ready

    def _accepts(self, port: int | None, password: str) -> bool:
        """Whether a session can be had; a refused password is an error at once, not a reason to wait."""
        if not port or not ports.answers(port):
            return False
        try:
            psycopg.connect(
                host=ports.LOOPBACK,
                port=port,
                user=SUPERUSER,
                password=password,
                dbname="postgres",
                connect_timeout=5,
            ).close()
        except psycopg.OperationalError as exc:
            if "password authentication failed" in str(exc):
                raise LauncherError(REFUSED.format(port=port)) from exc
            return False
        return True

    def set_password(self, password: str) -> None:
        """Give the superuser a new password without knowing the old one; the server must not be running."""
        self._clear_remains()
        command: list[Path | str] = [self.bin / "postgres", "--single", "-D", self.data, "postgres"]
        statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
        if self._run(command, statement).returncode != 0:
            raise LauncherError(f"The password of the cluster in {self.data} could not be set anew.")

    def stop(self, *, now: bool = False) -> bool:
        """End the server: sessions are closed at once, data is written. False when none was running."""
        process = self.running()
        if process is None:
            return False
        processes.end(process, NOW_STOP if now else FAST_STOP)
        return True


def tool(bin_directory: Path, name: str) -> str:
    """The client program `name`: the wheel's, else the one on the PATH."""
    found = bin_directory / name
    program = str(found) if os.access(found, os.X_OK) else shutil.which(name)
    if program is None:
        raise LauncherError(f"The program {name} was found neither in the package nor on the PATH.")
    return program
