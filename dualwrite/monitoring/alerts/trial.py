"""A message that only tries a channel, so that nobody learns in an emergency that it does not work."""

from functools import partial

from django.utils import timezone

from dualwrite.models import AlertChannel, AlertState, Measure, Severity
from dualwrite.monitoring.alerts.channels import LIMIT_SECONDS, send
from dualwrite.monitoring.alerts.channels.message import RUNBOOK, Message
from dualwrite.monitoring.side_by_side import Task, side_by_side
from dualwrite.monitoring.streams import why_not
from dualwrite.stages import Store
from dualwrite.stores import failing


def try_out(channel: AlertChannel, by: str) -> str:
    """Send it now; why it was not taken, empty where it was: then earlier failures count no more."""
    task = Task(f"alert trial {channel.pk}", partial(send, channel, _message(channel, by)), LIMIT_SECONDS)
    (outcome,) = side_by_side([task])
    if outcome.value is None:
        return why_not(outcome, LIMIT_SECONDS)
    with failing(Store.REGISTRY):
        AlertChannel.objects.filter(pk=channel.pk).update(failures=0, error="", delivered_at=timezone.now())
    return ""


def _message(channel: AlertChannel, by: str) -> Message:
    now = timezone.now()
    return Message(
        id=0,
        alert=0,
        rule="trial",
        subject=channel.name,
        severity=Severity.INFO,
        # Over at once: Alertmanager would go on showing it otherwise.
        event=AlertState.RESOLVED,
        measure=Measure.CHANNEL_FAILING,
        value=0.0,
        why=f"{by} tries this channel; nothing is wrong",
        since=now,
        fired_at=now,
        resolved_at=now,
        runbook=f"{RUNBOOK}#channel-failing",
    )
