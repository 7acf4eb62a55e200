"""One transaction that changes a stream's row in one store and says so in that store's audit."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from psycopg import errors, sql

from dualwrite.exceptions import ConcurrentChange, Refused
from dualwrite.sql import compose, statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch.audit import Actor, line
from dualwrite.switch.locks import locked
from dualwrite.switch.state import State


@contextmanager
def changing(
    stream: Stream,
    store: Store,
    actor: Actor,
    verb: str,
    *,
    exclusive: bool = False,
    session: Session | None = None,
) -> Iterator[Session]:
    """The transaction, under the stream's exclusive lock when asked; audited with the row before and after.

    In `session` when given, an open one of that store, else in one of its own. Raises Refused when somebody else holds
    the lock or the row, StoreUnreachable.
    """
    try:
        with reaching(store), ExitStack() as stack:
            used = session or stack.enter_context(dedicated(store, f"{verb} {stream.name}"))
            stack.enter_context(locked(used, stream, exclusive))
            before = _image(used, stream)
            yield used
            values = line(actor, verb, stream.name, before=before, after=_image(used, stream))
            used.execute(statement("state", "audit"), values)
    except errors.LockNotAvailable as exc:
        raise Refused(f"stream {stream.name}: somebody else holds its state in the {store} store; try again") from exc


def step(
    stream: Stream, store: Store, actor: Actor, verb: str, otherwise: str, *, session: Session | None, **values: Any
) -> State:
    """A step of a switch, whose statement is called as the verb, in one round trip; returns the row it leaves.

    Raises ConcurrentChange with the words of `otherwise` when what it relies on no longer holds, Refused when somebody
    else holds the row, StoreUnreachable.
    """
    query = _step(verb)
    bound = {"stream": stream.name, "actor": actor.name, "reason": actor.reason, "verb": verb, **values}
    try:
        with reaching(store), ExitStack() as stack:
            used = session or stack.enter_context(dedicated(store, f"{verb} {stream.name}"))
            row = used.execute(query, bound).fetchone()
    except errors.LockNotAvailable as exc:
        raise Refused(f"stream {stream.name}: somebody else holds its state in the {store} store; try again") from exc
    if row is None:
        raise ConcurrentChange(f"stream {stream.name}: {otherwise}")
    return State(store, Role(row[0]), *row[1:])


def plan(session: Session, stream: Stream, *verbs: str) -> None:
    """Have the server plan these steps, so that it has read its catalogue: at the first step writers wait for that."""
    values = {"stream": stream.name, "actor": "", "reason": "", "epoch": 0, "seen": 0}
    for verb in verbs:
        session.execute(sql.SQL("EXPLAIN ") + _step(verb), {**values, "verb": verb})


def _step(verb: str) -> sql.Composed:
    also = sql.SQL(statement("state", "and_raise_fences") if verb == "demote" else "")
    return compose("state", "step", change=sql.SQL(statement("state", verb)), also=also)


def _image(session: Session, stream: Stream) -> dict[str, Any]:
    row = session.execute(statement("state", "image"), {"stream": stream.name}).fetchone()
    return dict(row[0]) if row else {}
