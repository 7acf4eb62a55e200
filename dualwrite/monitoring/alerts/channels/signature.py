"""Signatures of webhooks: HMAC-SHA256 over `TIMESTAMP.BODY`, once for each key, so that keys can be changed.

A receiver takes the text of the header `X-Registry-Timestamp`, a dot and the body as it came, and compares. It refuses
what is older than some minutes, so that nobody sends an old message again.
"""

import hashlib
import hmac
from collections.abc import Iterable

TIMESTAMP_HEADER, SIGNATURE_HEADER = "X-Registry-Timestamp", "X-Registry-Signature"
SCHEME = "v1"
TOLERANCE_SECONDS = 300


def headers(body: bytes, keys: Iterable[str], timestamp: int) -> dict[str, str]:
    """Both headers: when, and `v1=HEX` for each key, separated by commas."""
    signed = ",".join(f"{SCHEME}={_signature(body, key, timestamp)}" for key in keys)
    return {TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: signed}


def is_signed(body: bytes, keys: Iterable[str], timestamp: str, signed: str, now: int) -> bool:
    """What a receiver does: whether one of its keys made one of the signatures, not long ago."""
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    found = [part.removeprefix(f"{SCHEME}=").encode() for part in signed.split(",") if part.startswith(f"{SCHEME}=")]
    mine = [_signature(body, key, int(timestamp)).encode() for key in keys]
    return any(hmac.compare_digest(one, other) for one in found for other in mine)


def _signature(body: bytes, key: str, timestamp: int) -> str:
    return hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
