"""Every address of the actuator answers whom it is to answer, and nobody else."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import REFUSED, WRONG_KEY, Service

INDEX = "/actuator"
#: Whoever asks is answered, with less detail; metrics to this machine itself.
OPEN = ("/actuator/health", "/actuator/info", "/actuator/prometheus")
#: What is DOWN is answered with 503, and what takes only POST with 405 once whoever asks was let in: both are answers.
ANSWERED = (200, 405, 503)
#: Removes rows where it is allowed, so it is asked of a policy that there is not.
GUARDED, UNKNOWN = "/actuator/retention/run", {"dry_run": False, "policy": "no such policy"}


def check(service: Service) -> str:
    """Each link of the index without a key, with a wrong one and with the right one; carrying out needs the key.

    Nothing but health, info and metrics is open; an address that asks for a key refuses a wrong one too.
    """
    paths = _paths(service)
    with service.client("") as nobody, service.client(WRONG_KEY) as stranger:
        closed = [path for path in paths if _is_refused(nobody, path)]
        for path in set(paths) - set(closed):
            if not path.startswith(OPEN):
                raise NotReady(f"{path} takes no key")
        for path in closed:
            if not _is_refused(stranger, path):
                raise NotReady(f"{path} asks for a key and takes a wrong one")
        for client, whose in ((nobody, "no key"), (stranger, "a wrong key")):
            if client.post(GUARDED, json=UNKNOWN).status_code not in REFUSED:
                raise NotReady(f"POST {GUARDED} takes {whose}")
    return f"{len(paths)} addresses, {len(closed)} of them closed without a key; {_with_key(service, paths, closed)}"


def _with_key(service: Service, paths: list[str], closed: list[str]) -> str:
    if not service.key:
        if closed:
            raise NotReady(f"INTERNAL_API_KEY is not set here, so {closed[0]} cannot be asked with a key")
        return f"they all answer; POST {GUARDED} is refused (INTERNAL_API_KEY is not set, so no key was tried)"
    with service.client() as client:
        for path in paths:
            status = client.get(path).status_code
            if status not in ANSWERED:
                raise NotReady(f"{path} answers {status} to the key")
        status = client.post(GUARDED, json=UNKNOWN).status_code
    if status in REFUSED or not httpx.codes.is_client_error(status):
        raise NotReady(f"POST {GUARDED} of an unknown policy answers {status} to the key")
    return "all answer to the key"


def _paths(service: Service) -> list[str]:
    with service.client() as client:
        answer = client.get(INDEX)
    if answer.status_code in REFUSED and not service.key:
        raise NotReady(f"INTERNAL_API_KEY is not set here, so {INDEX} cannot be asked with a key")
    if answer.status_code != httpx.codes.OK:
        raise NotReady(f"{INDEX} answers {answer.status_code}")
    return list(_addresses(answer.json().get("_links", {})))


def _addresses(links: dict[str, dict[str, object]]) -> Iterator[str]:
    if not links:
        raise NotReady(f"{INDEX} lists nothing")
    for link in links.values():
        if not link.get("templated"):
            yield urlsplit(str(link["href"])).path


def _is_refused(client: httpx.Client, path: str) -> bool:
    """Whether it is refused; raises NotReady for an answer that is neither."""
    status = client.get(path).status_code
    if status not in (*ANSWERED, *REFUSED):
        raise NotReady(f"{path} answers {status}")
    return status in REFUSED
