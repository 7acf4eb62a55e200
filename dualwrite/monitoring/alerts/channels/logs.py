"""Into the log, which is there even where nobody set anything up."""

import logging

from dualwrite.models import Severity
from dualwrite.monitoring.alerts.channels.message import Message, Way

log = logging.getLogger("dualwrite.alerts")
LEVELS = {Severity.CRITICAL: logging.CRITICAL, Severity.WARNING: logging.WARNING, Severity.INFO: logging.INFO}


def send(way: Way, message: Message) -> None:
    """One line; the end of an alert is no warning any more."""
    level = logging.INFO if message.is_over else LEVELS[Severity(message.severity)]
    log.log(level, "%s: %s; %s", message.title, " ".join(message.why.split()), message.runbook)
