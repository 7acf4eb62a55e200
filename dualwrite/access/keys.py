"""API keys: made, listed, revoked, recognised. A key is shown once, when it is made; what is kept recognises it.

A key is `irk_`, eight letters that name it and are shown, `_`, and a secret of 256 random bits. So much cannot be
guessed, hence a plain hash: slow ones are for passwords, which can.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from dualwrite import switch
from dualwrite.access.caller import Caller
from dualwrite.access.exceptions import KeyRefused
from dualwrite.clearance import Clearance
from dualwrite.exceptions import Refused, UnknownName, UsageError
from dualwrite.models import ApiKey
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.switch import Actor

KEY = re.compile(r"(irk_[a-z2-7]{8})_[A-Za-z0-9_-]{43}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@/-]{0,99}")
#: The name of whoever asks with the environment's key.
INTERNAL = "INTERNAL_API_KEY"
INTERNAL_CALLER = Caller(INTERNAL, Clearance.ADMIN, "key")
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Made:
    """A new key: its text, told now and never again, and its row."""

    text: str
    row: ApiKey


def create(name: str, role: Clearance, actor: Actor, expires_at: datetime | None = None) -> Made:
    """Make a key. Raises UsageError for a name or an expiry that is none, Refused for a name that is taken."""
    require_name(name)
    require_later(expires_at)
    prefix = f"irk_{''.join(secrets.choice(LETTERS) for _ in range(8))}"
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey(name=name, role=role, prefix=prefix, hash=_hashed(text), created_by=actor.name, expires_at=expires_at)
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        try:
            with transaction.atomic(using=Store.REGISTRY.alias):
                row.save(force_insert=True)
        except IntegrityError as exc:
            raise Refused(f"there is, or was, a key named {name!r}; the audit knows keys by their names") from exc
        switch.audit(Store.REGISTRY, actor, "create api key", None, _evidence(row))
    return Made(text, row)


def require_name(name: str) -> None:
    """Raise UsageError, saying what is valid, for what is no name of a key."""
    if not NAME.fullmatch(name) or name == INTERNAL:
        raise UsageError(
            f"name {name!r}; valid: up to 100 letters, digits, spaces and . _ @ / -, a letter or digit first, "
            f"and not {INTERNAL}"
        )


def require_later(expires_at: datetime | None) -> None:
    """Raise UsageError for a key that would be of no use."""
    if expires_at is not None and expires_at <= timezone.now():
        raise UsageError(f"a key that expires at {expires_at:%Y-%m-%d %H:%M:%S %Z} would be of no use")


def revoke(name: str, actor: Actor) -> ApiKey:
    """Let the key be of no use from now on. Raises UnknownName listing those in use, Refused when it is already."""
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        mine = ApiKey.objects.filter(name=name)
        changed = mine.filter(revoked_at=None).update(revoked_at=Now(), revoked_by=actor.name)
        row = mine.first()
        if row is None:
            valid = ApiKey.objects.filter(revoked_at=None).values_list("name", flat=True)
            raise UnknownName("API key", name, valid)
        if not changed:
            raise Refused(f"API key {name!r}: {row.why_refused(timezone.now())} already")
        switch.audit(Store.REGISTRY, actor, "revoke api key", None, _evidence(row))
    return row


def all_keys() -> list[ApiKey]:
    """Every key there ever was, by name; raises StoreUnreachable."""
    with failing(Store.REGISTRY):
        return list(ApiKey.objects.all())


def is_internal(text: str) -> bool:
    """Whether it is the environment's key; none is where the environment has none."""
    internal = str(settings.INTERNAL_API_KEY)
    # As long for a wrong key as for a right one, so that nobody can guess it letter by letter.
    return bool(internal) and hmac.compare_digest(text.encode(), internal.encode())


def recognised(text: str) -> Caller:
    """Who asks with that API key. Raises KeyRefused, and StoreUnreachable when that cannot be told now."""
    found = KEY.fullmatch(text)
    if found is None:
        raise KeyRefused
    with failing(Store.REGISTRY):
        row = ApiKey.objects.filter(prefix=found[1]).first()
        if not hmac.compare_digest(_hashed(text), row.hash if row else _hashed("")) or row is None:
            raise KeyRefused
        if why := row.why_refused(timezone.now()):
            raise KeyRefused(why)
        _note_use(row)
    return Caller(row.name, Clearance(row.role), "key")


def _note_use(row: ApiKey) -> None:
    """To the minute: every request would be a write otherwise."""
    before = timezone.now() - USED_EVERY
    if row.last_used_at is None or row.last_used_at < before:
        unused = Q(last_used_at=None) | Q(last_used_at__lt=before)
        ApiKey.objects.filter(unused, pk=row.pk).update(last_used_at=Now())


def as_data(row: ApiKey) -> dict[str, object]:
    """A key as JSON; nothing that helps to make one up."""
    names = ("name", "role", "prefix", "created_at", "created_by", "expires_at", "last_used_at")
    return {**{name: getattr(row, name) for name in names}, "revoked_at": row.revoked_at, "revoked_by": row.revoked_by}


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _evidence(row: ApiKey) -> dict[str, object]:
    expires = row.expires_at.isoformat() if row.expires_at else None
    return {"name": row.name, "role": str(row.role), "prefix": row.prefix, "expires_at": expires}
