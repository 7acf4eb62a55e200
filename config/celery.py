"""The Celery application: JSON messages, a task is acknowledged when it is done, one at a time per process."""

import os
import sys
from pathlib import Path

from celery import Celery
from celery.signals import celeryd_init, worker_process_init, worker_process_shutdown, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

ROOT = str(Path(__file__).resolve().parent.parent)

# Celery puts the current directory in front of sys.path; a command called from a folder that happens to have a
# `registry` package would then import that one. The project itself must be found from everywhere; it may stand
# there twice, since Celery's own command takes one entry out again.
_path = list(sys.path)
app = Celery("instrument_registry")
sys.path[:] = [ROOT, *_path]
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
def _start(**_: object) -> None:
    """Before the pool: no process of this worker counts yet."""
    from dualwrite.monitoring import multiprocess

    multiprocess.clear()


@worker_ready.connect
def _show(**_: object) -> None:
    """In the parent, which outlives the processes of the pool."""
    from django.conf import settings

    from dualwrite.monitoring.page import Page

    Page(settings.WORKER_METRICS_PORT).start()


@worker_process_init.connect
def _begin(**_: object) -> None:
    """After the fork, as a thread does not survive one."""
    from dualwrite.configuration.refresh import REFRESHER

    REFRESHER.start()


@worker_process_shutdown.connect
def _end(**_: object) -> None:
    from dualwrite.configuration.refresh import REFRESHER
    from dualwrite.monitoring import multiprocess

    REFRESHER.stop()
    multiprocess.mark_dead(os.getpid())
