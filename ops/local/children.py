"""Run one command in the foreground and be the one who passes signals on to it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from ops.local.errors import Interrupted

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_child(command: list[str], environment: Mapping[str, str], cwd: Path | None = None) -> int:
    """Run `command` to its end and return its exit code, 128 + number when a signal ended it.

    Raises Interrupted, after the command's end, when a signal came to us meanwhile.
    """
    received: list[signal.Signals] = []
    with subprocess.Popen(command, env=dict(environment), cwd=cwd) as process, forwarding(process, received):
        code = process.wait()
    if received:
        raise Interrupted(received[0])
    return code if code >= 0 else 128 - code


@contextlib.contextmanager
def forwarding(process: "subprocess.Popen[bytes]", received: list[signal.Signals]) -> Iterator[None]:
    """While inside, signals to us are noted in `received` and passed to `process`; we live on to clean up."""

    def forward(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        # A terminal has sent Ctrl-C to the child already; twice would be taken for impatience.
        if number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
            return
        process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interruptible() -> None:
    """From now on the signals that end a process raise Interrupted, so that `finally` runs."""

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number))

    for number in FORWARDED:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
            signal.signal(number, interrupt)


def hold_signals() -> None:
    """Ignore the same signals from now on: a bounded clean-up follows that must not be cut short."""
    for number in FORWARDED:
        signal.signal(number, signal.SIG_IGN)


def replace(command: list[str], environment: Mapping[str, str]) -> None:
    """Become `command`, with signals as a new process has them."""
    for number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, dict(environment))
