"""Whether Redis, or Valkey, answers."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check


@dataclass(frozen=True, kw_only=True)
class RedisCheck(Check):
    """Cache and broker. `url`: REDIS_URL unless given; it may hold a password, so it is never shown."""

    name: str = "redis"
    mend: str = "start Redis, or correct REDIS_URL"
    url: str = field(default="", repr=False)
    timeout_seconds: float = 2.0

    def run(self) -> dict[str, Any]:
        """Return the server's version; raise Down when it does not answer."""
        client = Redis.from_url(
            self.url or settings.REDIS_URL,
            socket_timeout=self.timeout_seconds,
            socket_connect_timeout=self.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            with client:
                info = client.info("server")
        except RedisError as exc:
            raise Down(str(exc)) from exc
        return {"version": info.get("valkey_version") or info.get("redis_version")}
