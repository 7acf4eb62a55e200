"""The Celery application: JSON messages, a task is acknowledged when it is done, one at a time per process."""

import os
import sys

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Celery puts the current directory in front of sys.path; a command called from a folder that happens to have a
# `registry` package would then import that one.
_path = list(sys.path)
app = Celery("instrument_registry")
sys.path[:] = _path
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
