"""A Celery worker in a thread of this process, and waiting for the end of what it does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery.contrib.testing.worker import start_worker

from config.celery import app
from dualwrite.configuration.refresh import REFRESHER
from dualwrite.models import Run


@contextmanager
def worker() -> Iterator[None]:
    """The worker, with nothing left over from before."""
    app.loader.import_default_modules()
    app.control.purge()
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
            yield
    finally:
        REFRESHER.stop()  # which a worker's own process ends with


def until_it_ended(run: Run) -> None:
    """Return when the worker is done with it."""
    deadline = time.monotonic() + 20
    while run.status == Run.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        run.refresh_from_db()
