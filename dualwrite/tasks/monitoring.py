"""Looking at everything, every five minutes."""

from celery import shared_task
from django.utils import timezone

from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.history import record


@shared_task(name="dualwrite.monitoring.check")
def check_monitoring() -> None:
    """Look at everything and keep it, see what fires, tell people."""
    record(timezone.now())
    evaluate()
