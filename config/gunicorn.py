"""What the web server's parent process does: `gunicorn -c python:config.gunicorn config.wsgi`.

It keeps the counts of its workers in order, nothing else; how many there are is said on the command line.
"""

import os
from typing import Any

from config import logs
from dualwrite.monitoring import multiprocess

_lines = logs.logging_of(os.environ.get("LOG_FORMAT") or "json", os.environ.get("LOG_LEVEL", ""))
_own = {"level": "INFO", "handlers": ["stderr"], "propagate": False}
#: The server's own lines are as those of the application.
logconfig_dict = {**_lines, "loggers": {"gunicorn.error": _own, "gunicorn.access": _own}}


def on_starting(server: Any) -> None:
    """Nobody counts yet."""
    multiprocess.clear()


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended, by itself or not."""
    multiprocess.mark_dead(worker.pid)
