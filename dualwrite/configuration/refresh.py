"""Keeps this process's parameters fresh: one look, or a thread that looks again and again."""

import logging
import threading

from django.conf import settings
from django.db import connections

from dualwrite.configuration import keep, push
from dualwrite.configuration.exceptions import ConfigServiceAway
from dualwrite.configuration.fetch import LIMIT_SECONDS, Service, fetch
from dualwrite.configuration.load import Loader
from dualwrite.configuration.reaction import react
from dualwrite.exceptions import DualWriteError
from dualwrite.parameters import Origin, all_parameters
from dualwrite.switch import Actor

log = logging.getLogger(__name__)
#: How long a change may stay unseen where Redis does not tell of it.
LOOK_SECONDS = 5.0
#: So long nobody else asks the service, once one has begun to.
CLAIM_SECONDS = 30.0
SERVICE = Actor("config service")


def service() -> Service | None:
    """The config service of the settings; None where there is none."""
    if not settings.CONFIG_SERVICE_URL:
        return None
    return Service(settings.CONFIG_SERVICE_URL, settings.INTERNAL_API_KEY, settings.CONFIG_ENVIRONMENT)


def look(loader: Loader, limit: float = LIMIT_SECONDS) -> bool:
    """Load what is stored, and where it is time ask the config service first; false where the registry is away."""
    asked = service()
    try:
        if asked is not None and keep.claim(CLAIM_SECONDS):
            _ask(asked, limit)
    except DualWriteError:
        pass  # the registry is away, which the loader finds too, and says
    return loader.load()


def _ask(asked: Service, limit: float) -> None:
    try:
        fetched = fetch(asked, all_parameters(), limit)
    except ConfigServiceAway as exc:
        keep.failed(str(exc))
        return
    changes = keep.keep(fetched)
    if changes:
        log.info("the config service changed %s", ", ".join(change.name for change in changes))
        push.tell()
        react(changes, Origin.CONFIG_SERVICE, SERVICE)


class Refresher:
    """Looks on a thread of its own, until it is stopped. A process needs one; `start` is harmless when done twice."""

    def __init__(self) -> None:
        self._stop, self._guard = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, in this process: a thread does not survive a fork."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="live parameters", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when the thread has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        loader, ear = Loader(), push.Ear()
        try:
            while not self._stop.is_set():
                look(loader)
                if not ear.wait(LOOK_SECONDS):
                    self._stop.wait(LOOK_SECONDS)
        finally:
            ear.close()
            connections.close_all()


REFRESHER = Refresher()


def first_look(seconds: float) -> bool:
    """One look, so long at most: a command does not wait longer for its parameters, and does with what it has then.

    On a thread, as no limit of a connection is kept by a server that has stopped answering.
    """
    found: list[bool] = []

    def work() -> None:
        try:
            found.append(look(Loader(), limit=seconds))
        finally:
            connections.close_all()

    looking = threading.Thread(target=work, name="live parameters", daemon=True)
    looking.start()
    looking.join(seconds)
    return bool(found and found[0])
