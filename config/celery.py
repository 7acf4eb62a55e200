"""The Celery application: JSON messages, a task is acknowledged when it is done, one at a time per process."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("instrument_registry")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
