"""A request with an Idempotency-Key is carried out once; when it comes again it gets the answer it had."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dualwrite.stages import Store
from dualwrite.stores import failing
from registry.exceptions import RegistryError
from registry.models import IdempotentWrite

#: A request whose process died can be carried out again after this; no request takes so long.
CLAIM = timedelta(seconds=60)


class KeyReused(RegistryError):
    """That Idempotency-Key came with another request before; a new request needs a new key."""


class UnderWay(RegistryError):
    """The request with that Idempotency-Key is being carried out; ask again in a minute."""


@dataclass(frozen=True)
class Answered:
    """Status and body of an answer, and whether it was given before."""

    status: int
    body: Any
    replayed: bool = False


def once(consumer: str, key: str, request: Any, carry_out: Callable[[], Answered]) -> Answered:
    """Carry out a request of a consumer, unless it was; `request`: all that tells it from another one, for JSON.

    What `carry_out` raises is no answer: the request may come again at once. Raises KeyReused, UnderWay,
    StoreUnreachable and StoreFailed of the registry, which remembers.
    """
    digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    with failing(Store.REGISTRY):
        row = _claimed(consumer, key, digest)
    if row.status is not None:
        return Answered(row.status, row.answer, replayed=True)
    try:
        answered = carry_out()
    except BaseException:
        with failing(Store.REGISTRY):
            _own(row).delete()
        raise
    with failing(Store.REGISTRY):
        _own(row).update(status=answered.status, answer=answered.body)
    return answered


def _claimed(consumer: str, key: str, digest: str) -> IdempotentWrite:
    """The row, ours to carry out, or with its answer."""
    now = timezone.now()
    rows = IdempotentWrite.objects.filter(consumer=consumer, key=key)
    IdempotentWrite.objects.bulk_create(
        # Claimed by nobody yet: whoever is first to move the claim has it.
        [IdempotentWrite(consumer=consumer, key=key, request=digest, claimed_until=now)],
        ignore_conflicts=True,
    )
    free = rows.filter(request=digest, status=None, claimed_until__lte=now)
    if free.update(claimed_until=now + CLAIM) == 1:
        return rows.get(claimed_until=now + CLAIM)
    row = rows.get()
    if row.request != digest:
        raise KeyReused(repr(key))
    if row.status is None:
        raise UnderWay(repr(key))
    return row


def _own(row: IdempotentWrite) -> Any:
    """The row, as long as nobody else has taken it over."""
    return IdempotentWrite.objects.filter(pk=row.pk, claimed_until=row.claimed_until, status=None)
