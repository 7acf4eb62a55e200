"""Ways to reach people: each takes a message and returns when it was taken, or raises NotDelivered.

Secrets and secret addresses come from the environment at the moment of sending and are never part of an error.
"""

import os
import re
from collections.abc import Callable, Mapping

from dualwrite.models import AlertChannel
from dualwrite.models.channels import VARIABLE
from dualwrite.monitoring.alerts.channels import email, logs, webhook
from dualwrite.monitoring.alerts.channels.message import Message, Way
from dualwrite.monitoring.alerts.exceptions import NotDelivered

#: Of one attempt, with everything.
LIMIT_SECONDS = 6.0
_SENDERS: Mapping[str, Callable[[Way, Message], None]] = {
    AlertChannel.Kind.EMAIL: email.send,
    AlertChannel.Kind.WEBHOOK: webhook.send,
    AlertChannel.Kind.LOG: logs.send,
}


def send(channel: AlertChannel, message: Message) -> bool:
    """Deliver it; true when it was taken. Raises NotDelivered saying why it was not."""
    keys = tuple(key for key in map(str.strip, _secret(channel.secret_variable).split(",")) if key)
    _SENDERS[channel.kind](Way(_address(channel.address), keys, channel.payload), message)
    return True


def _address(text: str) -> str:
    return _secret(text[1:]) if text.startswith("$") else text


def _secret(variable: str) -> str:
    """What the environment has; without a name nothing."""
    if not variable:
        return ""
    if not re.fullmatch(VARIABLE, variable):
        raise NotDelivered(f"{variable} is not a variable that a channel may use; valid: ALERT_ and upper case")
    if not (found := os.environ.get(variable, "").strip()):
        raise NotDelivered(f"the environment of this process has no {variable}")
    return found


__all__ = ["LIMIT_SECONDS", "Message", "Way", "send"]
