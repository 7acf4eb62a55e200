"""How often something happened in this minute, on all machines together; by this process alone where Redis is away.

How it can fail, and the answer: Redis is away or hangs → it is waited for so long as the cache's limits say, then not
asked for some seconds, and the process counts for itself: a limit is then kept by each process; a process is killed →
what it counted in Redis is forgotten with its minute.
"""

import hashlib
import logging
import threading
import time

from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

MINUTE = 60
#: So long Redis is not asked again after it did not answer.
LEFT_ALONE_SECONDS = 5.0


class Counting:
    """Counts by name and minute."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._own: dict[str, int] = {}
        self._minute = 0
        self._ask_at = float("-inf")

    def add(self, name: str, how_many: int = 1) -> int:
        """Count once more; returns how often it was in this minute. With 0 it is only asked."""
        minute = int(time.time()) // MINUTE
        # A cache takes no key with a space, and names of callers may have any.
        key = f"counted:{minute}:{hashlib.sha256(name.encode()).hexdigest()}"
        if time.monotonic() >= self._ask_at:
            try:
                return self._shared(key, how_many)
            except (RedisError, OSError) as exc:
                log.warning("every process counts requests for itself, as Redis is away: %s", exc)
                self._ask_at = time.monotonic() + LEFT_ALONE_SECONDS
        return self._alone(key, minute, how_many)

    def _shared(self, key: str, how_many: int) -> int:
        if not how_many:
            return int(cache.get(key, 0))
        cache.add(key, 0, timeout=2 * MINUTE)
        try:
            return int(cache.incr(key, how_many))
        except ValueError:
            return how_many  # its minute ended in between

    def _alone(self, key: str, minute: int, how_many: int) -> int:
        with self._guard:
            if minute != self._minute:
                self._own, self._minute = {}, minute
            self._own[key] = self._own.get(key, 0) + how_many
            return self._own[key]


COUNTING = Counting()


def left_of_minute() -> float:
    """Seconds until the next minute begins, in which counts begin anew."""
    return MINUTE - time.time() % MINUTE
