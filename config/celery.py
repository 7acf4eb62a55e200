"""The Celery application: JSON messages, a task is acknowledged when it is done, one at a time per process."""

import os
import sys
import threading
from pathlib import Path

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_process_init, worker_process_shutdown, worker_ready
from django.dispatch import receiver
from django_structlog.celery import signals
from django_structlog.celery.steps import DjangoStructLogInitStep
from structlog.contextvars import bind_contextvars

from dualwrite import trace

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

#: How long a start waits for the live parameters.
LOOK_SECONDS = 10.0
ROOT = str(Path(__file__).resolve().parent.parent)

# Celery puts the current directory in front of sys.path; a command called from a folder that happens to have a
# `registry` package would then import that one. The project itself must be found from everywhere; it may stand
# there twice, since Celery's own command takes one entry out again.
_path = list(sys.path)
app = Celery("instrument_registry")
sys.path[:] = [ROOT, *_path]
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def _log(**_: object) -> None:
    """Nothing: with a receiver Celery leaves the loggers as the settings have them."""


@receiver(signals.modify_context_before_task_publish)
def _send(context: dict[str, object], **_: object) -> None:
    """Only the ids go along, whatever else stood in the lines of who asks for the task."""
    for name in set(context) - {trace.REQUEST_ID, trace.TRACEPARENT}:
        del context[name]


@receiver(signals.bind_extra_task_metadata)
def _trace(**_: object) -> None:
    """What the schedule asks for is a request of its own."""
    bind_contextvars(**{trace.REQUEST_ID: trace.request_id(), trace.TRACEPARENT: trace.traceparent(), **trace.ids()})


@celeryd_init.connect
def _start(**_: object) -> None:
    """Before the pool: no process of this worker counts yet."""
    from dualwrite.monitoring import multiprocess

    multiprocess.clear()


@worker_ready.connect
def _show(**_: object) -> None:
    """In the parent, which outlives the processes of the pool."""
    from django.conf import settings

    from dualwrite.configuration.refresh import first_look
    from dualwrite.control.at_start import enable_what_is_off
    from dualwrite.monitoring.page import Page

    Page(settings.WORKER_METRICS_PORT).start()

    def begin() -> None:
        first_look(LOOK_SECONDS)
        enable_what_is_off(threading.Event())

    threading.Thread(target=begin, name="enable at start", daemon=True).start()


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
