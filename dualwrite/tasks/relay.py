"""The safety net of relaying: what nobody brought to its end is ended, what nobody relays is relayed."""

from typing import Any

from celery import shared_task

from dualwrite.control.sweep import sweep
from dualwrite.switch import Actor

#: Below the ten seconds after which the next one comes.
SECONDS = 6.0


@shared_task(name="dualwrite.relay.sweep", soft_time_limit=60, time_limit=90)
def sweep_relay() -> list[dict[str, Any]]:
    """Every stream for which there was something to do, and what was done."""
    return [one.as_data() for one in sweep(Actor("schedule", "a stream was left alone"), SECONDS) if one.is_eventful]
