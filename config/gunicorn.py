"""What the web server does beside serving: `gunicorn -c python:config.gunicorn config.wsgi`.

The parent keeps the counts of its workers in order; a worker that ends has answered what it had begun, and then lets
its threads and connections go. How many there are is said on the command line.
"""

import os
from typing import Any

from config import logs
from dualwrite.monitoring import multiprocess

worker_class = "config.draining.DrainingWorker"

_lines = logs.logging_of(os.environ.get("LOG_FORMAT") or "json", os.environ.get("LOG_LEVEL", ""))
_own = {"level": "INFO", "handlers": ["stderr"], "propagate": False}
# The line of each request has its path and query, where a key or a secret may be; the application has one without.
_silent = {"level": "CRITICAL", "handlers": [], "propagate": False}
#: The server's own lines are as those of the application.
logconfig_dict = {**_lines, "loggers": {"gunicorn.error": _own, "gunicorn.access": _silent}}


def on_starting(server: Any) -> None:
    """Nobody counts yet."""
    multiprocess.clear()


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended, by itself or not."""
    multiprocess.mark_dead(worker.pid)


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, after its last request."""
    from django.db import connections  # the parent has no Django

    from dualwrite.configuration.refresh import REFRESHER
    from dualwrite.monitoring.startup import GATE

    GATE.stop()
    REFRESHER.stop()
    for connection in connections.all(initialized_only=True):
        connection.close()
        if close_pool := getattr(connection, "close_pool", None):
            close_pool()
