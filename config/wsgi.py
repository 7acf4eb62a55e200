"""WSGI entry point for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DATABASE_POOL", "true")

application = get_wsgi_application()


def _begin() -> None:
    """Each worker imports this by itself, so each starts up, and has a thread that keeps its parameters fresh."""
    from dualwrite.configuration.refresh import REFRESHER  # Django must be set up before
    from dualwrite.monitoring.startup import GATE

    GATE.begin()
    REFRESHER.start()


_begin()
