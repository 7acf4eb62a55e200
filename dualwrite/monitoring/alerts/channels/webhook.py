"""By HTTP POST, signed. Only the status of the answer counts: its body is not read, a redirect not followed."""

import json
import time

import httpx

from dualwrite.monitoring.alerts.channels import signature
from dualwrite.monitoring.alerts.channels.message import Message, Way
from dualwrite.monitoring.alerts.channels.payloads import payload
from dualwrite.monitoring.alerts.exceptions import NotDelivered

#: Of connecting, of sending, of the answer's first line; the whole attempt has a limit of its own.
TIMEOUT_SECONDS = 3.0
DELIVERY_HEADER = "X-Registry-Delivery"


def send(way: Way, message: Message) -> None:
    """Post it; raises NotDelivered unless the answer is 2xx."""
    body = json.dumps(payload(way.payload, message), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", DELIVERY_HEADER: str(message.id)}
    if way.keys:
        headers |= signature.headers(body, way.keys, int(time.time()))
    status = _posted(way.address, body, headers)
    if not httpx.codes.is_success(status):
        raise NotDelivered(f"the receiver answered {status}")


def _posted(address: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with (
            httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client,
            client.stream("POST", address, content=body, headers=headers) as answer,
        ):
            return answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        # The sentence of the error may have the address, which may be a secret.
        raise NotDelivered(f"the receiver did not answer ({type(exc).__name__})") from exc
