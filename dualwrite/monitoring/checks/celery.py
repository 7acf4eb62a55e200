"""Whether a worker answers through the broker.

How it can fail, and the answer: the broker accepts and says nothing → every read has a limit, so that the question ends
by itself and the next one is asked anew; nobody listens → DOWN after the limit, not a wait for ever; a worker is busy
with a long task → its main process answers all the same.
"""

from dataclasses import dataclass, field
from typing import Any

from celery import Celery
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check


@dataclass(frozen=True, kw_only=True)
class CeleryCheck(Check):
    """A ping that the first worker answers. `url`: the broker unless given; it may hold a password: never shown."""

    name: str = "celery"
    mend: str = "start a worker: celery -A config worker"
    url: str = field(default="", repr=False)
    timeout_seconds: float = 1.0

    def run(self) -> dict[str, Any]:
        """Return which worker answered; raise Down when none does or the broker is away."""
        try:
            answers = self._ping()
        except (OperationalError, RedisError, OSError) as exc:
            raise Down(f"the broker cannot be reached: {exc}") from exc
        workers = sorted(name for answer in answers for name in answer)
        if not workers:
            raise Down(f"no worker answered within {self.timeout_seconds:g} s")
        return {"workers": workers}

    def _ping(self) -> list[dict[str, Any]]:
        # An application of its own, as Celery's current one is that of a thread.
        with Celery("health", broker=self.url or settings.CELERY_BROKER_URL, set_as_current=False) as app:
            options = {
                "socket_timeout": self.timeout_seconds,
                "socket_connect_timeout": self.timeout_seconds,
                "max_retries": 0,
                "retry_on_timeout": False,
            }
            with app.connection_for_write(transport_options=options) as connection:
                found = app.control.ping(timeout=self.timeout_seconds, limit=1, connection=connection)
                return list(found or [])
