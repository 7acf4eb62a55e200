"""The page of metrics of a process that is no web server: worker and relay, on ports of their own.

Only what processes count is there. What is read from rows is the web server's to show, once.

How it can fail, and the answer: the port is taken, perhaps by a process of before that is just ending → it is told once
and tried again, and the process works on meanwhile; nobody set a port → there is no page.
"""

import logging
import threading
from wsgiref.simple_server import WSGIServer

from django.conf import settings
from prometheus_client import start_http_server

from dualwrite.monitoring.multiprocess import processes

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0


class Page:
    """Shown from `start` to `stop`; a port of 0 means never."""

    def __init__(self, port: int, host: str = "") -> None:
        self._port, self._host = port, host or settings.METRICS_HOST
        self._stop = threading.Event()
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Show it, as soon as the port can be had; returns at once."""
        if self._port:
            self._thread = threading.Thread(target=self._begin, name="metrics page", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Give the port back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _begin(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                self._server, _ = start_http_server(self._port, self._host, processes())
            except (OSError, OverflowError) as exc:
                if str(exc) != said:
                    log.warning("no metrics on %s:%s: %s; trying again", self._host, self._port, exc)
                said = str(exc)
                self._stop.wait(AGAIN_SECONDS)
            else:
                return
