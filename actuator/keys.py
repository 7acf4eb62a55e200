"""Who asks: whoever has the environment's INTERNAL_API_KEY, an operator's key that needs no database."""

import hmac

from django.conf import settings
from rest_framework.request import Request

#: What the audit calls whoever has that key, and whoever has none.
WITH_KEY, WITHOUT = "actuator:internal key", "actuator"
BEARER = "Bearer "


def has_key(request: Request) -> bool:
    """Whether the request brings the key, as `X-Internal-API-Key: KEY` or `Authorization: Bearer KEY`.

    No key is valid where the environment has none.
    """
    key = str(settings.INTERNAL_API_KEY)
    given = request.headers.get("X-Internal-API-Key", "")
    if not given and (bearer := request.headers.get("Authorization", "")).startswith(BEARER):
        given = bearer.removeprefix(BEARER)
    # As long for a wrong key as for a right one, so that nobody can guess it letter by letter.
    return bool(key) and hmac.compare_digest(given.encode(), key.encode())


def who(request: Request) -> str:
    """The name the audit gets."""
    return WITH_KEY if has_key(request) else WITHOUT
