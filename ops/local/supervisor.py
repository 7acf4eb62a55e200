"""Keep web, worker, beat and relay running until a signal says stop; then end them in order.

Flow: start each child in a session of its own -> wait for a signal, a death or a restart that is due ->
start the dead again after a growing pause -> on SIGINT or SIGTERM end web, beat, worker, relay in this order;
a second signal hurries.
"""

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

from ops.local import ports, processes
from ops.local.errors import LauncherError
from ops.local.place import ROOT, Place
from ops.local.processes import Identity
from ops.local.say import say

STOP_SECONDS = {"web": 10.0, "beat": 10.0, "worker": 20.0, "relay": 15.0}
HURRIED_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
SETTLED_SECONDS = 60.0
SERVER_CHECK_SECONDS = 5.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def commands(port: int) -> dict[str, list[str]]:
    """What runs under supervision, in the order of starting."""
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    gunicorn = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"{ports.LOOPBACK}:{port}"]
    return {
        "relay": [sys.executable, str(ROOT / "manage.py"), "relay"],
        "web": [*gunicorn, "--workers", "2", "--graceful-timeout", "5"],
        "worker": [*celery, "worker", "--concurrency", "1", "--loglevel", "warning"],
        # Beat's own pid file would make it refuse to start after a power cut.
        "beat": [*celery, "beat", "--loglevel", "warning", "--pidfile="],
    }


@dataclass
class Child:
    """One supervised process and when it is to be started again."""

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause: float = 0.0
    due: float = field(default_factory=time.monotonic)

    def start(self, place: Place, environment: Mapping[str, str]) -> None:
        """Start it with its output appended to its log, and note who it is."""
        with place.log(self.name).open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started = time.monotonic()
        Identity.of(self.process.pid).write(place.pid(self.name))

    def bury(self) -> int | None:
        """The exit code when it has died since the last look, and set when it is due again."""
        code = self.process.poll() if self.process else None
        if code is not None:
            settled = time.monotonic() - self.started > SETTLED_SECONDS
            self.pause = min(self.pause * 2, LONGEST_PAUSE) if self.pause and not settled else FIRST_PAUSE
            self.due = time.monotonic() + self.pause
            self.process = None
        return code


class Supervisor:
    """Runs the children of one checkout."""

    def __init__(self, place: Place, port: int, keep_servers: Callable[[], Mapping[str, str]]) -> None:
        """`keep_servers` starts the servers that are not running and returns the children's environment."""
        self._place, self._port, self._keep_servers = place, port, keep_servers
        self._environment = keep_servers()
        self._children = [Child(name, command) for name, command in commands(port).items()]
        self._signals: list[signal.Signals] = []
        self._trouble = ""

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
        except LauncherError as exc:
            self._trouble = self._tell_once(str(exc))
            return
        self._trouble = ""
        if environment != self._environment:
            say("a server has moved to another port; starting everything again")
            self._environment = environment
            for child in self._children:
                if child.process:
                    child.process.terminate()

    def _tell_once(self, trouble: str) -> str:
        """Log `trouble` unless it was the last thing logged about the servers; they are tried again soon."""
        if trouble != self._trouble:
            say(trouble)
        return trouble

    def _look_after(self, child: Child) -> None:
        code = child.bury()
        if code is not None:
            say(f"{child.name} ended (exit {code}), starts again in {child.pause:.0f} s; its log ends with:")
            sys.stderr.write(f"{processes.tail(self._place.log(child.name), 5)}\n")
        if not child.process and child.due <= time.monotonic():
            child.start(self._place, self._environment)
            say(f"started {child.name} (pid {child.process.pid if child.process else 0})")

    def _end_all(self) -> None:
        say(f"stopping ({self._signals[0].name})" if self._signals else "stopping")
        for name in STOP_SECONDS:
            identity = Identity.read(self._place.pid(name))
            if identity:
                how = end_group(identity, STOP_SECONDS[name], lambda: self.hurried)
                say(f"stopped {name}{how}")
            self._place.pid(name).unlink(missing_ok=True)
        for child in self._children:
            if child.process:
                child.process.wait()


def end_group(identity: Identity, seconds: float, hurried: Callable[[], bool] = lambda: False) -> str:
    """Ask the process to end, wait, then kill it and what it started. Returns a remark for the log, or ''."""
    process = identity.process()
    if process is not None:
        processes.send(process, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while processes.alive(process) and time.monotonic() < deadline and not hurried():
            processes.until(lambda: not processes.alive(process) or hurried(), HURRIED_SECONDS)
        if hurried():
            processes.until(lambda: not processes.alive(process), HURRIED_SECONDS)
    forced = bool(process and processes.alive(process))
    for member in identity.group(ROOT):
        processes.send(member, signal.SIGKILL)
        psutil.wait_procs([member], timeout=2)
    return " (killed: it did not end by itself)" if forced else ""


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
