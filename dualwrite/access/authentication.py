"""How a request says who makes it: a key in a header, or a session of the admin's with its CSRF token."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from dualwrite.access.caller import Caller, clearance_of
from dualwrite.access.counting import COUNTING, left_of_minute
from dualwrite.access.exceptions import KeyRefused
from dualwrite.access.keys import INTERNAL_CALLER, is_internal, recognised
from dualwrite.access.throttling import address_of

HEADER = "X-Internal-API-Key"
BEARER = "bearer "


class KeyAuthentication(authentication.BaseAuthentication):
    """`X-Internal-API-Key: KEY` or `Authorization: Bearer KEY`; a wrong one is refused, whatever else is sent."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        """Who has the key; None where none was sent. Raises AuthenticationFailed, StoreUnreachable."""
        text = given_key(request)
        if not text:
            return None
        if is_internal(text):
            return INTERNAL_CALLER, None  # nothing else is asked: it is to work whatever is away
        guessed = f"refused:{address_of(request)}"
        # A view may look keys up in its own way; then nobody's wrong keys keep a right one from it.
        own: Callable[[str], Caller] | None = getattr(request.parser_context["view"], "recognised", None)
        if own is None and COUNTING.add(guessed, 0) >= settings.REQUESTS_PER_MINUTE["refused"]:
            raise Throttled(left_of_minute(), "Too many keys of this address were refused.")
        try:
            return (own or recognised)(text), None
        except KeyRefused as exc:
            COUNTING.add(guessed)
            raise AuthenticationFailed(str(exc)) from exc

    def authenticate_header(self, request: Request) -> str:
        """What to ask with."""
        return 'Bearer realm="instrument-registry"'


class SessionAuthentication(authentication.SessionAuthentication):
    """Whoever is logged in to the admin; anything but reading needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Whose session it is; None where there is none. Raises PermissionDenied without the token."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        return Caller(user.get_username(), clearance_of(user), "session", user), None


def given_key(request: Request) -> str:
    """The key that was sent; empty where none was."""
    given = request.headers.get(HEADER, "").strip()
    bearer = request.headers.get("Authorization", "")
    if not given and bearer[: len(BEARER)].lower() == BEARER:
        given = bearer[len(BEARER) :].strip()
    return given
