"""What the domain does by schedule."""

from celery import shared_task

from dualwrite.schedule.recorded import Recorded
from registry.reading import feed

NUMBER = "registry.changes.number"


@shared_task(base=Recorded, name=NUMBER, soft_time_limit=600, time_limit=660)
def number_changes() -> dict[str, int]:
    """Give changes that no consumer has read yet their places, so that they can be removed by their age."""
    return {"position": feed.number()}
