"""Keep web, worker, beat, relay and a stand-in config service running until a signal says stop; then end them in order.

Flow: start each child in a session of its own -> wait for a signal, a death or a restart that is due ->
start the dead again after a growing pause -> on SIGINT or SIGTERM end web, beat, workers, relay, stand-in in order;
a second signal hurries. What cannot be done now (a full disk, a lost `var/`) is told and tried again.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType

import psutil
import psycopg

from ops.local import ports, processes
from ops.local.errors import LauncherError
from ops.local.place import ROOT, Place
from ops.local.processes import Identity
from ops.local.say import say

#: The stand-in for the config service, which runs unless CONFIG_SERVICE_URL names one; so far behind the web's port.
CONFIG, CONFIG_URL, CONFIG_PORT = "config", "CONFIG_SERVICE_URL", 3
STOP_SECONDS = {"web": 10.0, "beat": 10.0, "worker": 20.0, "watch": 20.0, "relay": 15.0, CONFIG: 5.0}
HURRIED_SECONDS = 0.5
KILL_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
SETTLED_SECONDS = 60.0
SERVER_CHECK_SECONDS = 5.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
METRICS_PORTS = ("WORKER_METRICS_PORT", "RELAY_METRICS_PORT")
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
KILLED = " (killed: it did not end by itself)"
TRANSIENT = (LauncherError, OSError, psycopg.Error, psutil.Error)


def commands(port: int, config_port: int | None) -> dict[str, list[str]]:
    """What runs under supervision, in the order of starting; the stand-in config service where it has a port."""
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi"]
    gunicorn += ["--bind", f"{ports.LOOPBACK}:{port}"]
    stand_in = [sys.executable, "-m", "ops.config_service", str(config_port)]
    return {
        **({CONFIG: stand_in} if config_port else {}),
        "relay": [sys.executable, str(ROOT / "manage.py"), "relay"],
        "web": [*gunicorn, "--workers", "2", "--threads", "4", "--graceful-timeout", "5", "--no-control-socket"],
        "worker": [*celery, "worker", "-Q", "work", "-n", "work@%h", "--concurrency", "1", "--loglevel", "warning"],
        # What looks after everything waits for no validation.
        "watch": [*celery, "worker", "-Q", "watch", "-n", "watch@%h", "--concurrency", "1", "--loglevel", "warning"],
        # Beat's own pid file would make it refuse to start after a power cut.
        "beat": [*celery, "beat", "--loglevel", "warning", "--pidfile="],
    }


def variables(place: Place, port: int, config_port: int | None) -> dict[str, dict[str, str]]:
    """What each child's environment has beside the rest: where it counts, and the port of its metrics.

    That is the first or second behind `port`, or, where it is taken, a free one; a variable that is set wins. All of
    them ask the stand-in config service where it has a port.
    """
    asked = {CONFIG_URL: f"http://{ports.LOOPBACK}:{config_port}"} if config_port else {}
    worker, relay = (os.environ.get(name) or str(ports.choose(port + n)) for n, name in enumerate(METRICS_PORTS, 1))
    return {
        "web": {**asked, MULTIPROCESS: str(place.metrics("web"))},
        "worker": {**asked, MULTIPROCESS: str(place.metrics("worker")), METRICS_PORTS[0]: worker},
        "relay": {**asked, METRICS_PORTS[1]: relay},
        "watch": {**asked, METRICS_PORTS[0]: "0"},
        "beat": asked,
        CONFIG: {},
    }


@dataclass
class Child:
    """One supervised process, who it is or was last, and when it is to be started again."""

    name: str
    command: list[str]
    own: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    identity: Identity | None = None
    noted: bool = False
    started: float = 0.0
    pause: float = 0.0
    due: float = field(default_factory=time.monotonic)

    def start(self, place: Place, environment: Mapping[str, str]) -> None:
        """Start it with its output appended to its log. Raises OSError when that cannot be done now."""
        # A service that has no directory of its own must not count into another one's.
        shared = {name: value for name, value in environment.items() if name != MULTIPROCESS}
        with place.log(self.name).open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**shared, **self.own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self.identity, self.noted = Identity.of(self.process.pid), False

    def note(self, place: Place) -> None:
        """Write down who it is, once, for a launcher that comes after a killed one. Raises OSError."""
        if self.process and self.identity and not self.noted:
            self.identity.write(place.pid(self.name))
            self.noted = True

    def bury(self) -> int | None:
        """The exit code when it has died since the last look, and set when it is due again."""
        code = self.process.poll() if self.process else None
        if code is not None:
            self.postpone()
            self.process = None
        return code

    def postpone(self) -> None:
        """Set when it is due again: later each time, unless it ran well since."""
        settled = time.monotonic() - self.started > SETTLED_SECONDS
        self.pause = min(self.pause * 2, LONGEST_PAUSE) if self.pause and not settled else FIRST_PAUSE
        self.due = time.monotonic() + self.pause

    def end(self, seconds: float, hurried: Callable[[], bool]) -> str:
        """End it and everything in its group, within `seconds` and little more. Returns a remark, or ''.

        Needs no file: `var/` may be gone.
        """
        if self.process is None:
            return end_group(self.identity, seconds, hurried) if self.identity else ""
        forced = self.identity is not None and not ask_to_end(self.identity, seconds, hurried)
        # Not reaped yet, so the number is still that of our group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        try:
            self.process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            return f" (pid {self.process.pid} did not end even when killed)"
        return KILLED if forced else ""


class Supervisor:
    """Runs the children of one checkout."""

    def __init__(self, place: Place, port: int, keep_servers: Callable[[], Mapping[str, str]]) -> None:
        """`keep_servers` starts the servers that are not running and returns the children's environment."""
        self._place, self._port, self._keep_servers = place, port, keep_servers
        self._environment = keep_servers()
        config_port = None if os.environ.get(CONFIG_URL) else ports.choose(port + CONFIG_PORT)
        own = variables(place, port, config_port)
        self._children = [Child(name, command, own[name]) for name, command in commands(port, config_port).items()]
        self._signals: list[signal.Signals] = []
        self._troubles: dict[str, str] = {}

    def run(self) -> signal.Signals:
        """Serve until a signal, end the children, and return the signal. Later signals only hurry."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler is needed for the wake-up
        try:
            self._serve(reader)
        finally:
            self._end_all()
            signal.set_wakeup_fd(-1)
            reader.close()
            writer.close()
        return self._signals[0]

    @property
    def hurried(self) -> bool:
        """Whether more than one signal came."""
        return len(self._signals) > 1

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signals.append(signal.Signals(number))

    def _serve(self, reader: socket.socket) -> None:
        announced = False
        while not self._signals:
            self._look_after_servers()
            for child in self._children:
                self._look_after(child)
            if not announced and ports.answers(self._port, 0.2):
                say(f"serving on http://{ports.LOOPBACK}:{self._port} (Ctrl-C stops)")
                announced = True
            due = [child.due - time.monotonic() for child in self._children if not child.process]
            wait = max(0.0, min([*due, SERVER_CHECK_SECONDS if announced else 0.2]))
            if select.select([reader], [], [], wait)[0]:
                reader.recv(1024)

    def _look_after_servers(self) -> None:
        try:
            environment = self._keep_servers()
        except TRANSIENT as exc:
            self._tell_once("the servers", exc)
            return
        self._troubles.pop("the servers", None)
        if environment != self._environment:
            say("a server has moved to another port; starting everything again")
            self._environment = environment
            for child in self._children:
                if child.process:
                    child.process.terminate()

    def _tell_once(self, about: str, exc: Exception) -> None:
        """Log `exc` unless it was the last thing logged `about` these; they are tried again soon."""
        trouble = str(exc) if isinstance(exc, LauncherError) else f"{about}: {' '.join(str(exc).split())}"
        if trouble != self._troubles.get(about):
            say(f"{trouble} (trying again)")
        self._troubles[about] = trouble

    def _look_after(self, child: Child) -> None:
        code = child.bury()
        if code is not None:
            end = processes.tail(self._place.log(child.name), 5)
            say(f"{child.name} ended (exit {code}), starts again in {child.pause:.0f} s; its log ends with:\n{end}")
        try:
            if not child.process and child.due <= time.monotonic():
                child.start(self._place, self._environment)
                say(f"started {child.name} (pid {child.process.pid if child.process else 0})")
            child.note(self._place)
        except TRANSIENT as exc:
            if not child.process:
                child.postpone()
            self._tell_once(child.name, exc)
        if child.process and child.noted:
            self._troubles.pop(child.name, None)

    def _end_all(self) -> None:
        say(f"stopping ({self._signals[0].name})" if self._signals else "stopping")
        for child in sorted(self._children, key=lambda each: list(STOP_SECONDS).index(each.name)):
            how = child.end(STOP_SECONDS[child.name], lambda: self.hurried)
            if child.identity:
                say(f"stopped {child.name}{how}")
            try:
                self._place.pid(child.name).unlink(missing_ok=True)
            except OSError as exc:
                say(f"{child.name}: {exc}")


def end_group(identity: Identity, seconds: float, hurried: Callable[[], bool] = lambda: False) -> str:
    """Ask the process to end, wait, then kill it and what it started. Returns a remark for the log, or ''."""
    forced = not ask_to_end(identity, seconds, hurried)
    for member in identity.group(ROOT):
        processes.send(member, signal.SIGKILL)
        psutil.wait_procs([member], timeout=2)
    return KILLED if forced else ""


def ask_to_end(identity: Identity, seconds: float, hurried: Callable[[], bool]) -> bool:
    """SIGTERM, then wait `seconds`, less when `hurried`. Whether the process has ended."""
    process = identity.process()
    if process is None:
        return True
    processes.send(process, signal.SIGTERM)
    processes.until(lambda: not processes.alive(process) or hurried(), seconds)
    if hurried():
        processes.until(lambda: not processes.alive(process), HURRIED_SECONDS)
    return not processes.alive(process)


def end_orphans(place: Place) -> list[str]:
    """End children that a killed supervisor left behind. Returns their names."""
    ended = []
    for path in place.pids():
        identity = Identity.read(path)
        if identity and (identity.process() or identity.group(ROOT)):
            end_group(identity, STOP_SECONDS.get(path.stem, 10.0))
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended
