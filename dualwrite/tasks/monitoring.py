"""Looking at everything, every five minutes."""

from celery import shared_task
from django.utils import timezone

from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.alerts.sources.every import every
from dualwrite.monitoring.history import record
from dualwrite.schedule.recorded import Recorded


@shared_task(base=Recorded, name="dualwrite.monitoring.check", soft_time_limit=240, time_limit=270)
def check_monitoring() -> dict[str, str]:
    """Look at everything and keep it, see what fires, tell people; the status of each component."""
    report = record(timezone.now())
    evaluate(sources=lambda: every(report))
    return {one.name: one.status.value for one in report.results}
