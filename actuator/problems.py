"""Every error as a problem document (RFC 9457): what went wrong in a sentence, never a traceback."""

import logging
import math
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import Error as DatabaseError
from django.http import Http404
from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, UnsupportedMediaType, ValidationError
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.response import Response

from dualwrite.exceptions import AlreadyRunning, DualWriteError, Refused, Superseded, UnknownName, UsageError
from registry.exceptions import RegistryError

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
#: Exit codes of commands, which the same exceptions end with.
NO, USAGE, CANNOT_TELL = 1, 2, 3


class Problem(APIException):
    """A problem that has more to say: `more` are members of its document beside the usual ones."""

    def __init__(self, status: int, detail: str, more: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self.status_code, self.more, self.headers = status, more, headers or {}
        super().__init__(detail)


def problem_of(exc: DualWriteError, more: dict[str, Any], headers: dict[str, str] | None = None) -> Problem:
    """The same as a problem that has more to say."""
    return Problem(_status(exc), str(exc), {"code": type(exc).__name__, **more}, headers)


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: the document of any exception; an unexpected one is only logged."""
    path = context["request"].path if context.get("request") is not None else ""
    if isinstance(exc, Http404):
        exc = NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = Forbidden()
    if isinstance(exc, APIException):
        detail = _not_read(context) if isinstance(exc, UnsupportedMediaType) else _detail(exc)
        return _response(exc.status_code, detail, path, _headers(exc), _extra(exc))
    if isinstance(exc, DualWriteError | RegistryError):
        return _response(_status(exc), str(exc), path, extra={"code": type(exc).__name__})
    if isinstance(exc, RequestDataTooBig):
        most = f"The body is too large; {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes are the most."
        return _response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most, path)
    log.error("%s failed unexpectedly", path, exc_info=exc)
    if isinstance(exc, DatabaseError):
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, "A database did not do what was asked.", path)
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "This failed unexpectedly; the log has it.", path)


def _status(exc: DualWriteError | RegistryError) -> HTTPStatus:
    if isinstance(exc, UnknownName):
        return HTTPStatus.NOT_FOUND
    if isinstance(exc, UsageError) or exc.exit_code == USAGE:
        return HTTPStatus.BAD_REQUEST
    if isinstance(exc, Refused | AlreadyRunning | Superseded) or (
        isinstance(exc, RegistryError) and exc.exit_code == NO
    ):
        return HTTPStatus.CONFLICT
    if exc.exit_code == CANNOT_TELL:
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _response(
    status: int,
    detail: str,
    path: str,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> Response:
    code = HTTPStatus(status)
    document = {
        "type": "about:blank",
        "title": code.phrase,
        "status": code.value,
        "detail": detail,
        "instance": path,
        **(extra or {}),
    }
    return Response(document, status=code, headers=headers, content_type=CONTENT_TYPE)


def _not_read(context: dict[str, Any]) -> str:
    """Which kinds of bodies the view reads."""
    valid = ", ".join(parser.media_type for parser in context["view"].parser_classes)
    return f"A body of this Content-Type is not read; valid: {valid}."


def _detail(exc: APIException) -> str:
    if isinstance(exc, ValidationError):
        # Who raises it may say it in a sentence of its own.
        return str(getattr(exc, "sentence", "The request is not valid; `errors` says why."))
    if isinstance(exc, NotAuthenticated):
        return "Nobody is known to ask: send a key as X-Internal-API-Key, or log in to the admin."
    return str(exc.detail)


def _extra(exc: APIException) -> dict[str, Any]:
    if isinstance(exc, Problem):
        return exc.more
    return {"errors": exc.detail} if isinstance(exc, ValidationError) else {}


def _headers(exc: APIException) -> dict[str, str]:
    found = dict(exc.headers) if isinstance(exc, Problem) else {}
    if challenge := getattr(exc, "auth_header", None):
        found["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        found["Retry-After"] = str(math.ceil(wait))
    return found
