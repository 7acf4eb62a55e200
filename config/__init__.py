"""Wiring: environment → settings → Celery application and URLs. Nothing here decides anything of the domain."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
