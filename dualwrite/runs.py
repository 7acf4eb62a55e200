"""One run at a time: who runs what is a lock of the registry's server, so it ends with the connection that holds it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dualwrite.exceptions import AlreadyRunning
from dualwrite.stages import Store
from dualwrite.stores import dedicated, reaching
from dualwrite.stream import Stream

RUN_LOCK = 25722


@contextmanager
def only_run(kind: str, stream: Stream) -> Iterator[None]:
    """Be the only run of this kind for the stream, on every machine; raises AlreadyRunning."""
    with reaching(Store.REGISTRY), dedicated(Store.REGISTRY, f"{kind} {stream.name} lock") as session:
        row = session.execute(
            "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (RUN_LOCK, f"{kind}/{stream.name}")
        ).fetchone()
        if row is None or not row[0]:
            raise AlreadyRunning(f"{kind} of stream {stream.name}")
        yield
