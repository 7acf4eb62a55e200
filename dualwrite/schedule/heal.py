"""Every ten seconds: what dead workers left is begun again, what nobody took is sent again or missed."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from dualwrite.models import TaskRun
from dualwrite.schedule import rows
from dualwrite.schedule.recorded import ATTEMPT, SCHEDULE, SLOT

log = logging.getLogger(__name__)

BROKER_AWAY = (OperationalError, RedisError, OSError)


@dataclass(frozen=True)
class Healed:
    """How many rows were closed as crashed and as missed, and how many messages were sent again."""

    crashed: int = 0
    missed: int = 0
    sent: int = 0

    def as_data(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


def heal(send: Callable[[TaskRun], None] | None = None) -> Healed:
    """Do so once. Raises StoreUnreachable, StoreFailed."""
    buried = [row for row in rows.dead() if rows.bury(row)]
    for row in buried:
        further = rows.again(row, timezone.now()) if row.attempt < rows.MOST_ATTEMPTS else None
        log.warning("%s: the worker of run %s died%s", row.task, row.pk, "; begun again" if further else "")
    missed = rows.miss()
    return Healed(len(buried), missed, _send_all(send or tell))


def _send_all(send: Callable[[TaskRun], None]) -> int:
    sent = 0
    for row in rows.unsent():
        if rows.mark_sent(row):
            try:
                send(row)
            except BROKER_AWAY as exc:
                log.warning("%s: run %s cannot be sent: %s", row.task, row.pk, exc)
                return sent
            sent += 1
    return sent


def tell(row: TaskRun) -> None:
    """Send the workers the message of that attempt. Raises what the broker's client raises."""
    message = row.message
    current_app.send_task(
        row.task,
        args=message.get("args"),
        kwargs=message.get("kwargs"),
        headers={SLOT: row.slot, ATTEMPT: row.attempt, SCHEDULE: row.schedule},
        expires=row.expires_at,
        retry=False,
        **({"queue": message["queue"]} if message.get("queue") else {}),
    )
