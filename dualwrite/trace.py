"""Which request something belongs to: two ids that go with it through web, tasks, relay, commands and audit.

They are kept where structlog keeps what every line of the log gets (`structlog.contextvars`), each thread its own.
"""

import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import bound_contextvars, get_contextvars

REQUEST_ID, TRACEPARENT = "request_id", "traceparent"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: W3C Trace Context: version, trace, parent, flags; later versions may have more behind a dash.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def request_id(given: str | None = None) -> str:
    """The id given, where it is one that can stand in a log and a header; else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def traceparent(given: str | None = None) -> str:
    """The one given, where it is valid, in the form of version 00; else the beginning of a new trace."""
    found = _TRACEPARENT.fullmatch((given or "").strip())
    if found:
        version, trace, parent, flags, more = found.groups()
        if version != "ff" and int(trace, 16) and int(parent, 16) and not (version == "00" and more):
            return f"00-{trace}-{parent}-{flags}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def ids() -> dict[str, str]:
    """Both, as far as this thread works for a request; else nothing."""
    bound = get_contextvars()
    return {name: str(bound[name]) for name in (REQUEST_ID, TRACEPARENT) if name in bound}


@contextmanager
def begun(**more: object) -> Iterator[None]:
    """Have ids while inside: those there are, else new ones. `more` stands in the lines of the log as well."""
    with bound_contextvars(**{REQUEST_ID: request_id(), TRACEPARENT: traceparent(), **ids(), **more}):
        yield
