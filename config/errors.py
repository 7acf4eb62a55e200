"""What a page answers when something failed unexpectedly: 503 where a database is away, else 500; never a traceback.

The operators' API answers for itself (`actuator.problems`); this is for the admin, and for what fails before a view.
"""

import sys
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.html import escape

from dualwrite.exceptions import StoreFailed, StoreUnreachable

AWAY = "A database cannot be reached now. Nothing was changed by this request; try again in a moment."
FAILED = "This failed unexpectedly; the log has it."
RETRY_SECONDS = "5"
PAGE = "<!doctype html><title>{title}</title><h1>{title}</h1><p>{detail}</p>"
#: They are raised when the server is away, but also for a lock that was not to be had: both may be tried again.
BUSY = (OperationalError, InterfaceError, StoreUnreachable, StoreFailed)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the exception is handled: HTML for a browser, else a problem (RFC 9457)."""
    is_busy = isinstance(sys.exc_info()[1], BUSY)
    status = HTTPStatus.SERVICE_UNAVAILABLE if is_busy else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = AWAY if is_busy else FAILED
    response: HttpResponse
    if request.accepts("text/html") and "text/html" in request.headers.get("Accept", ""):
        response = HttpResponse(PAGE.format(title=escape(status.phrase), detail=escape(detail)), status=status)
    else:
        document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        response = JsonResponse(document, status=status, content_type="application/problem+json")
    if is_busy:
        response["Retry-After"] = RETRY_SECONDS
    return response
