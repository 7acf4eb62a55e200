"""Writes the domain's logs: who changed business data, and what brokers were asked."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from dualwrite import trace
from dualwrite.said import said
from registry.models import AuditLog, BrokerApiLog

_log = logging.getLogger(__name__)
_ERROR_LENGTH = 1000
# What libraries put into the message of a failed call: the address with account and query, and headers.
_SECRET = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=\?)[^\s'\")>]+|(?<=bearer )\S+|(?<=basic )\S+", re.IGNORECASE)
_NAMED_SECRET = re.compile(r"((?:token|secret|password|passwd|api[-_]?key)['\"]?\s*[=:]\s*)\S+", re.IGNORECASE)


def audited(
    actor: str,
    action: str,
    object_type: str,
    object_key: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> AuditLog:
    """Say that ``actor`` did ``action`` to an object, and how it was before and after.

    In the transaction of the registry that is open, if any: what is rolled back was not done. A change of the other
    store is made in a transaction inside of one of the registry, so that this row is committed after it.
    """
    return AuditLog.objects.create(
        actor=actor,
        action=action,
        object_type=object_type,
        object_key=object_key,
        before=before,
        after=after,
        request_id=request_id or trace.ids().get(trace.REQUEST_ID),
    )


@contextmanager
def broker_call(
    broker: str, operation: str, request: Mapping[str, Any], *, instrument_key: str | None = None
) -> Iterator[None]:
    """Record the call of a broker that is made inside: how long it took, and with which error it failed, if it did.

    ``request`` is stored as it is given, so nothing secret belongs into it. Errors are raised on; that a call cannot
    be recorded is logged, and neither fails a call nor hides its error. In a transaction of the registry the record
    shares its fate, so calls belong outside of one (where also no lock waits for a broker).
    """
    row = BrokerApiLog(called_at=timezone.now(), broker=broker, operation=operation, request=request)
    row.instrument_key, row.status = instrument_key, BrokerApiLog.Status.OK
    began = time.monotonic()
    try:
        yield
    except BaseException as exc:
        row.status, row.error = BrokerApiLog.Status.FAILED, _told(exc)
        raise
    finally:
        row.milliseconds = round((time.monotonic() - began) * 1000)
        _record(row)


def storable(text: str) -> str:
    r"""The text as PostgreSQL can hold it: NUL, and bytes that were not UTF-8 when it was read, as ``\xNN``."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", r"\x00").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _told(exc: BaseException) -> str:
    """The error in words, without what may be secret in it."""
    words = f"{type(exc).__name__}: {exc}".removesuffix(": ")
    return storable(_NAMED_SECRET.sub(r"\1…", _SECRET.sub("…", words)))[:_ERROR_LENGTH]


def _record(row: BrokerApiLog) -> None:
    try:
        # In a transaction of its own, or a part of the caller's: what fails here does not spoil that.
        with transaction.atomic(using=router.db_for_write(BrokerApiLog)):
            row.save(force_insert=True)
    except Exception as exc:
        _log.error("the %s of %s (%s) is not recorded: %s", row.operation, row.broker, row.status, said(exc))
