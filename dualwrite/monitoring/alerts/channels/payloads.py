"""What a webhook is sent: JSON of our own, or what Alertmanager and Slack take. No I/O."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from dualwrite.models import AlertChannel
from dualwrite.monitoring.alerts.channels.message import Message

SERVICE = "instrument-registry"
#: Alertmanager ends an alert by itself some minutes after it was sent last, unless it is told when it ends. A message
#: is sent once, so it is told a day far off, and the message that it is over says when it really was.
FAR_OFF = timedelta(days=30)
COLOURS = {"critical": "#b3261e", "warning": "#e8a33d", "info": "#4a7ebb"}
OVER = "#3c8d53"


def payload(kind: str, message: Message) -> Any:
    """The body, as data for JSON."""
    return _KINDS[kind](message)


def _json(message: Message) -> dict[str, Any]:
    times = {name: getattr(message, name) for name in ("since", "fired_at", "resolved_at")}
    return {
        **vars(message),
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
        "service": SERVICE,
    }


def _alertmanager(message: Message) -> list[dict[str, Any]]:
    began = message.fired_at or message.since
    ended = message.resolved_at if message.is_over and message.resolved_at else began + FAR_OFF
    labels = {
        "alertname": message.rule,
        "severity": message.severity,
        "subject": message.subject,
        "service": SERVICE,
    }
    notes = {"summary": message.title, "description": message.why, "runbook": message.runbook}
    times = {"startsAt": began.isoformat(), "endsAt": ended.isoformat()}
    return [{"labels": labels, "annotations": notes, **times}]


def _slack(message: Message) -> dict[str, Any]:
    colour = OVER if message.is_over else COLOURS[message.severity]
    attachment = {"color": colour, "text": _escaped(message.text), "fallback": _escaped(message.title)}
    return {"text": f"*{_escaped(message.title)}*", "attachments": [attachment]}


def _escaped(text: str) -> str:
    """Slack takes `<!channel>` in a text for a call to everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_KINDS: Mapping[str, Callable[[Message], Any]] = {
    AlertChannel.Payload.JSON: _json,
    AlertChannel.Payload.ALERTMANAGER: _alertmanager,
    AlertChannel.Payload.SLACK: _slack,
}
