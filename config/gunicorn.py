"""What the web server's parent process does: `gunicorn -c python:config.gunicorn config.wsgi`.

It keeps the counts of its workers in order, nothing else; how many there are is said on the command line.
"""

from typing import Any

from dualwrite.monitoring import multiprocess


def on_starting(server: Any) -> None:
    """Nobody counts yet."""
    multiprocess.clear()


def child_exit(server: Any, worker: Any) -> None:
    """A worker has ended, by itself or not."""
    multiprocess.mark_dead(worker.pid)
