"""What is wrong is answered with a sentence, and harms nothing beside it."""

import httpx
import psycopg
from psycopg import sql

from dualwrite import switch
from dualwrite.models import TaskStatus
from dualwrite.readiness import probes
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import REFUSED, Service
from dualwrite.sql import compose
from dualwrite.stages import Role, Store
from dualwrite.stores import dedicated, present
from dualwrite.stream import Stream, all_streams

PROBLEM = "application/problem+json"
FAILING, BESIDE = "dualwrite.relay.sweep", "dualwrite.monitoring.check"
#: What the triggers say of a store that takes no writes.
NOT_THE_AUTHORITY = "DW001"
LIMITS = "-c statement_timeout=5s -c lock_timeout=2s"
FIELDS = {"type", "title", "status", "detail"}


def check(service: Service) -> str:
    """Wrong requests, a task that fails beside one that does not, a write to a store that takes none."""
    return f"{_requests(service)}; {_tasks()}; {_writes()}"


def _requests(service: Service) -> str:
    """An address that is not there, a body that is no JSON, a method that is not offered."""
    with service.client() as client:
        answers = {
            404: client.get("/actuator/no-such-address"),
            400: client.post("/actuator/retention/run", content="{", headers={"Content-Type": "application/json"}),
            405: client.delete("/actuator/health"),
        }
    for expected, answer in answers.items():
        # Without a key nobody is told more than that they are not known.
        if answer.status_code not in (expected, *(() if service.key else REFUSED)):
            raise NotReady(f"{answer.request.method} {answer.url.path} answers {answer.status_code}, not {expected}")
        _require_problem(answer)
    return f"{len(answers)} wrong requests got a problem document"


def _require_problem(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.url.path}"
    if not answer.headers.get("Content-Type", "").startswith(PROBLEM) or not answer.json().keys() >= FIELDS:
        raise NotReady(f"{where} answers with no problem document")
    if "Traceback" in answer.text:
        raise NotReady(f"{where} answers with a traceback")


def _tasks() -> str:
    failing, beside = probes.send(FAILING, "fail"), probes.send(BESIDE, "answer")
    rows = probes.wait([failing, beside])
    if rows[failing].status != TaskStatus.FAILED or not rows[failing].sentence:
        raise NotReady(f"a task that failed is kept as {rows[failing].status}")
    if rows[beside].status != TaskStatus.DONE:
        raise NotReady(f"beside a task that failed another one ended as {rows[beside].status}")
    return "a task that failed was kept as such, the one beside it was done"


def _writes() -> str:
    """A write of no row at all: the trigger of the statement refuses it all the same."""
    stores = [(stream, store) for stream in all_streams() for store in present() if _takes_none(stream, store)]
    for stream, store in stores:
        _require_refused(stream, store)
    return f"{len(stores)} stores that take no writes refused one"


def _takes_none(stream: Stream, store: Store) -> bool:
    return switch.state(stream, store).role in (Role.MIRROR, Role.FENCED)


def _require_refused(stream: Stream, store: Store) -> None:
    side = stream.side(store)
    query = compose("readiness", "write_nothing", table=sql.Identifier(side.schema, side.table))
    with dedicated(store, "readiness", limits=LIMITS) as session:
        try:
            with session.transaction(force_rollback=True):
                session.execute(query)
        except psycopg.errors.InsufficientPrivilege:
            return
        except psycopg.DatabaseError as exc:
            if exc.sqlstate == NOT_THE_AUTHORITY:
                return
            raise
    raise NotReady(f"the {store} takes writes of stream {stream.name}, and is its mirror")
