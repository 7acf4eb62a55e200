"""Asks the config service for every parameter: `GET {url}/api/v1/secrets/{NAME}/value?environment=ENV`.

No value is ever logged or shown in an error: the service is one for secrets.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from dualwrite.configuration.exceptions import ConfigServiceAway
from dualwrite.parameters import PREFIX, Parameter

#: Of one request; of all together about four times as much, as they go side by side.
LIMIT_SECONDS = 2.0
AT_ONCE = 8
NOT_SET = 404


@dataclass(frozen=True)
class Service:
    """Where it is, the key it is asked with, and the environment whose values are wanted."""

    url: str
    key: str
    environment: str


@dataclass(frozen=True)
class Fetched:
    """Texts by parameter; None where the service has none."""

    texts: Mapping[str, str | None]


def fetch(service: Service, parameters: Sequence[Parameter[object]], limit: float = LIMIT_SECONDS) -> Fetched:
    """What the service says of each parameter; raises ConfigServiceAway unless it answered for all of them."""
    headers = {"X-Internal-API-Key": service.key} if service.key else {}
    names = [parameter.name for parameter in parameters]
    with (
        httpx.Client(base_url=service.url, headers=headers, timeout=limit, trust_env=False) as client,
        ThreadPoolExecutor(max_workers=AT_ONCE) as pool,
    ):
        # The first one alone: a service that is away is not waited for once for each parameter.
        first = _ask(client, service, names[0]) if names else None
        others = pool.map(lambda name: _ask(client, service, name), names[1:])
        return Fetched(dict(zip(names, [first, *others], strict=True)) if names else {})


def _ask(client: httpx.Client, service: Service, name: str) -> str | None:
    path = f"/api/v1/secrets/{PREFIX}{name}/value"
    try:
        answer = client.get(path, params={"environment": service.environment})
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise ConfigServiceAway(f"{path}: {type(exc).__name__}") from exc
    if answer.status_code == NOT_SET:
        return None
    if answer.status_code != httpx.codes.OK:
        raise ConfigServiceAway(f"{path} answered {answer.status_code}")
    return _value(path, answer)


def _value(path: str, answer: httpx.Response) -> str | None:
    try:
        found = answer.json()["secret_value"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ConfigServiceAway(f"{path} answered no JSON with a secret_value") from exc
    if found is None:
        return None
    if not isinstance(found, str | int | float | bool):
        raise ConfigServiceAway(f"{path}: secret_value is no text")
    return str(found)
