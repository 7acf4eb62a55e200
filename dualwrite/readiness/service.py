"""The running service as it is asked: over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from dualwrite.readiness.exceptions import NotReady

LIMIT_SECONDS = 15.0
REFUSED = (401, 403)
WRONG_KEY = "not-the-key"


@dataclass(frozen=True)
class Service:
    """Its address, and the key it is asked with; empty where there is none. The key is never shown."""

    url: str
    key: str = field(default="", repr=False)

    @contextmanager
    def client(self, key: str | None = None) -> Iterator[httpx.Client]:
        """Asks with the key, or another one; empty: with none."""
        chosen = self.key if key is None else key
        headers = {"X-Internal-API-Key": chosen} if chosen else {}
        try:
            with httpx.Client(
                base_url=self.url, headers=headers, timeout=LIMIT_SECONDS, trust_env=False, follow_redirects=False
            ) as client:
                yield client
        except httpx.TransportError as exc:
            raise NotReady(f"{self.url} does not answer ({type(exc).__name__}); start it, or say --url") from exc
