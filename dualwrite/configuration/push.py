"""Word of a change goes through Redis, so that other processes look at once. Without Redis they look a little later."""

import logging
from contextlib import suppress

import redis
from django.conf import settings

log = logging.getLogger(__name__)
CHANNEL = "dualwrite:parameters"
LIMIT_SECONDS = 0.5


def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=LIMIT_SECONDS, socket_timeout=LIMIT_SECONDS)


def tell() -> None:
    """Let every process look now."""
    with suppress(redis.RedisError):  # they look by themselves soon
        _client().publish(CHANNEL, "changed")


class Ear:
    """Hears of changes, as long as Redis is there."""

    def __init__(self) -> None:
        self._heard: redis.client.PubSub | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for word of a change, so long at most; false where Redis is away, at once."""
        try:
            if self._heard is None:
                self._heard = _client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                self._heard.subscribe(CHANNEL)
            self._heard.get_message(timeout=seconds)
        except redis.RedisError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """Hear no more."""
        if self._heard is not None:
            with suppress(redis.RedisError):
                self._heard.close()
            self._heard = None
