"""The safety net: what nobody brought to its end is ended, what nobody relays is relayed, what broke is begun again."""

from typing import Any

from celery import shared_task

from dualwrite.control.sweep import sweep
from dualwrite.said import said
from dualwrite.schedule.heal import heal
from dualwrite.schedule.recorded import Recorded
from dualwrite.switch import Actor
from dualwrite.tasks.quietly import FAULTS, log

NAME = "dualwrite.relay.sweep"
#: Below the ten seconds after which the next one comes.
SECONDS = 6.0


@shared_task(base=Recorded, name=NAME, soft_time_limit=60, time_limit=90)
def sweep_relay() -> list[dict[str, Any]]:
    """Every stream for which there was something to do, and what was done; what of the schedule was mended."""
    swept = sweep(Actor("schedule", "a stream was left alone"), SECONDS)
    return [*_healed(), *(one.as_data() for one in swept if one.is_eventful)]


def _healed() -> list[dict[str, Any]]:
    try:
        done = heal()
    except FAULTS as exc:
        log.warning("the schedule: %s", said(exc))
        return []
    if not any(done.as_data().values()):
        return []
    counts = ", ".join(f"{count} {name}" for name, count in done.as_data().items() if count)
    return [{"schedule": "mended", "sentence": counts}]
