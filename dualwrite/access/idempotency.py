"""A call with an Idempotency-Key is made once: made again, it is answered with what it was answered with.

1. `claim`: a row says that the call is being answered; whoever comes second finds it.
2. The call is made; its answer goes into the row, or, where it was refused or broke, the row goes.

How it can fail, and the answer: two make the call at once → one makes it, the other is told to come again (409); the
key comes with another body → 422, as one of both would be answered with what was not asked; the process dies in
between → after some minutes the call may be made anew, and what it began is found by its own lock; it was only slow →
it has lost its claim and keeps no answer for whoever took over; the registry is away → 503: whether it was made cannot
be told.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from dualwrite.access.caller import caller_of
from dualwrite.models import IdempotentCall
from dualwrite.stages import Store
from dualwrite.stores import failing

HEADER, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
LONGEST = 200
KEPT, ABANDONED = timedelta(days=1), timedelta(minutes=5)
KEPT_HEADERS = ("Location", "Preference-Applied")


class BeingAnswered(APIException):
    """The same call is being answered just now."""

    status_code = 409
    default_detail = "The same call, with this Idempotency-Key, is being answered just now; ask again in a moment."
    wait = 1


class AnotherCall(APIException):
    """The key was used for another call."""

    status_code = 422
    default_detail = "This Idempotency-Key was used for another call; another call needs a key of its own."


def answered_once(request: Request, answer: Callable[[], Response]) -> Response:
    """The answer to a call, made once where it has a key; only one that succeeded is kept.

    Raises ValidationError for what is no key, BeingAnswered, AnotherCall, StoreUnreachable, and what the call raises.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return answer()
    if not key.isascii() or not key.isprintable() or not 0 < len(key) <= LONGEST:
        raise ValidationError([{"header": HEADER, "detail": f"valid: 1 to {LONGEST} printable letters of ASCII"}])
    row, is_mine = _claim(caller_of(request).pk, key, _fingerprint(request))
    if not is_mine:
        return Response(row.answer, status=row.status, headers={**row.headers, REPLAYED: "true"})
    try:
        made = answer()
    except BaseException:
        _give_back(row)
        raise
    _keep(row, made)
    return made


def _claim(caller: str, key: str, fingerprint: str) -> tuple[IdempotentCall, bool]:
    with failing(Store.REGISTRY):
        IdempotentCall.objects.filter(begun_at__lt=timezone.now() - KEPT).delete()
        try:
            with transaction.atomic(using=Store.REGISTRY.alias):
                return IdempotentCall.objects.create(caller=caller, key=key, fingerprint=fingerprint), True
        except IntegrityError:
            row = IdempotentCall.objects.filter(caller=caller, key=key).first()
        if row is None:
            raise BeingAnswered  # it was refused in this moment
        if row.fingerprint != fingerprint:
            raise AnotherCall
        if row.status is not None:
            return row, False
        old = IdempotentCall.objects.filter(pk=row.pk, status=None, begun_at__lt=timezone.now() - ABANDONED)
        if not old.update(begun_at=Now()):
            raise BeingAnswered
        row.refresh_from_db(fields=["begun_at"])
        return row, True


def _keep(row: IdempotentCall, made: Response) -> None:
    if made.status_code >= 300:
        _give_back(row)
        return
    headers = {name: made.headers[name] for name in KEPT_HEADERS if name in made.headers}
    with failing(Store.REGISTRY):
        _mine(row).update(status=made.status_code, answer=_plain(made.data), headers=headers)


def _plain(data: object) -> object:
    """As JSON has it: moments are texts."""
    return json.loads(json.dumps(data, cls=JSONEncoder))


def _give_back(row: IdempotentCall) -> None:
    with failing(Store.REGISTRY):
        _mine(row).delete()


def _mine(row: IdempotentCall) -> QuerySet[IdempotentCall]:
    """The row, as long as nobody else has taken it over."""
    return IdempotentCall.objects.filter(pk=row.pk, begun_at=row.begun_at, status=None)


def _fingerprint(request: Request) -> str:
    call = [request.method, request.get_full_path(), request.data]
    return hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest()
