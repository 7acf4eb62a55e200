"""No request before a process has started up: it asks again and again, until nothing that blocks is left."""

import logging
import threading
from collections.abc import Callable

from django.db import connections

from dualwrite.monitoring.exceptions import OutOfService
from dualwrite.monitoring.startup.sequence import Report, start_up

log = logging.getLogger(__name__)
AGAIN_SECONDS = 2.0
UNDER_WAY = "it is starting up"


class Gate:
    """Open, unless this process began to start up and has not come through yet. Once open, it stays so."""

    def __init__(self, ask: Callable[[], Report] = start_up) -> None:
        self._ask, self._guard = ask, threading.Lock()
        self._open, self._stop = threading.Event(), threading.Event()
        self._open.set()
        self._thread: threading.Thread | None = None
        self._why = ""

    def begin(self) -> None:
        """Close it and ask on a thread of its own; harmless when done twice."""
        with self._guard:
            if self._thread is not None:
                return
            self._open.clear()
            self._why = UNDER_WAY
            self._thread = threading.Thread(target=self._work, name="start-up", daemon=True)
            self._thread.start()

    def require_open(self) -> None:
        """Raise OutOfService with what is missing while it is closed."""
        if not self._open.is_set():
            raise OutOfService(self._why or UNDER_WAY)

    def wait(self, seconds: float) -> bool:
        """Wait until it is open, so long at most; whether it is."""
        return self._open.wait(seconds)

    def stop(self) -> None:
        """Ask no more; returns when the thread has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        said: list[str] = []
        try:
            while not self._stop.is_set():
                report = self._ask()
                said = _tell(report, said)
                if not report.blocking:
                    self._open.set()
                    return
                self._why = "; ".join(found.line for found in report.blocking)
                self._stop.wait(AGAIN_SECONDS)
        finally:
            connections.close_all()


def _tell(report: Report, said: list[str]) -> list[str]:
    """One line for what is new; returns what stands."""
    wrong = [*report.blocking, *report.told]
    lines = [found.line for found in wrong]
    for found in wrong:
        if found.line not in said:
            log.log(logging.ERROR if found.blocking else logging.WARNING, "start-up: %s", found.line)
    if not report.blocking:
        log.info("start-up: ready, %d of %d steps passed", len(report.findings) - len(wrong), len(report.findings))
    return lines


GATE = Gate()
