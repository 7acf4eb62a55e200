"""Who called what, in the audit: every call that was denied, and every one that may have changed something.

What the engine's functions did stands there beside it, in words of their own. How it can fail, and the answer: the
registry is away → the log has the line, and for some seconds nobody tries again; somebody makes many calls that are
denied → the audit has so many of a minute and an address, the log has all.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path
from rest_framework.permissions import SAFE_METHODS
from rest_framework.throttling import BaseThrottle

from dualwrite import switch
from dualwrite.access.caller import Caller
from dualwrite.access.counting import COUNTING
from dualwrite.exceptions import DualWriteError
from dualwrite.stages import Store
from dualwrite.switch import Actor

log = logging.getLogger(__name__)

DENIED = (401, 403, 413, 429)
NOBODY = Actor("nobody known")
#: So long the registry is not tried again after it did not take a line.
LEFT_ALONE_SECONDS = 10.0


class AuditCalls:
    """Middleware; a view that has `audits_itself` does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._try_at = float("-inf")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, and keep the call where that is to be."""
        answer = self._get_response(request)
        view = _view(request)
        if view is not None and not getattr(view, "audits_itself", False) and is_kept(request.method, answer):
            self._keep(request, answer.status_code)
        return answer

    def _keep(self, request: HttpRequest, status: int) -> None:
        who, evidence = actor(request), told(request, status)
        log.info("%s: %s %s answered with %s", who.name, request.method, escape_uri_path(request.path), status)
        if who is NOBODY and _too_many(evidence["address"]):
            return
        if time.monotonic() < self._try_at:
            log.warning("not in the audit, as the registry is away: %s by %s", evidence, who.name)
            return
        try:
            switch.audit(Store.REGISTRY, who, "call denied" if status in DENIED else "call", None, evidence)
        except (DualWriteError, DatabaseError) as exc:
            self._try_at = time.monotonic() + LEFT_ALONE_SECONDS
            log.warning("not in the audit (%s): %s by %s", exc, evidence, who.name)


def is_kept(method: str | None, answer: HttpResponseBase) -> bool:
    """Whether the audit has the call: it was denied, or may have changed something. Pure."""
    return answer.status_code in DENIED or method not in SAFE_METHODS


def actor(request: HttpRequest) -> Actor:
    """Who called, as far as is known."""
    found: object = getattr(request, "user", None)
    return found.actor() if isinstance(found, Caller) else NOBODY


def told(request: HttpRequest, status: int) -> dict[str, Any]:
    """What the audit is told of the call; neither its body nor its query, which may have what is not to be kept."""
    address = BaseThrottle().get_ident(request)  # type: ignore[arg-type]  # it looks at META alone
    return {"method": request.method, "path": request.path[:500], "status": status, "address": address}


def _too_many(address: str) -> bool:
    most: int = settings.REQUESTS_PER_MINUTE["refused"]
    return COUNTING.add(f"denied:{address}") > most


def _view(request: HttpRequest) -> Any:
    match = request.resolver_match
    return getattr(match.func, "cls", None) if match is not None else None
