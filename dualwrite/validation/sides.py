"""Both stores at work at once: a session each, the same step done on both, ended together when one fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from dualwrite import projection
from dualwrite.exceptions import StoreFailed, first_line
from dualwrite.runs import Watch
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, describe, reaching
from dualwrite.stream import Stream

T = TypeVar("T")
CANCEL_SECONDS = 2.0


@dataclass(frozen=True)
class Side:
    """One store as a comparison reads it."""

    store: Store
    stream: Stream
    session: Session
    watch: Watch

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever the server does not do is told in the engine's words: Cancelled, StoreUnreachable, StoreFailed."""
        try:
            with reaching(self.store):
                yield
        except psycopg.Error as exc:
            # Cancelled because the run is to stop: then this raises Cancelled.
            self.watch.advance(0)
            raise StoreFailed(f"{describe(self.store)}: {first_line(exc)}") from exc

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A transaction that sees one instant of the table, which stays what it is meanwhile."""
        with self.reading(), self.session.transaction():
            self.session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            table = projection.table(self.stream.side(self.store))
            self.session.execute(compose("validation", "hold_still", table=table))
            self.session.execute(statement("validation", "settings"))
            yield


Sides = dict[Store, Side]


@contextmanager
def opened(stream: Stream, watch: Watch) -> Iterator[Sides]:
    """A session in each store; a request to stop ends what runs on it."""
    with ExitStack() as stack:
        sides = {}
        for store in Store:
            session = stack.enter_context(closing(dedicated(store, f"validation {stream.name}")))
            stack.enter_context(watch.session(session))
            sides[store] = Side(store, stream, session, watch)
        yield sides


def at_once(sides: Sides, work: Callable[[Side], T]) -> dict[Store, T]:
    """Do it on both at once; when one fails the other is cancelled, and the failure raised."""
    with ThreadPoolExecutor(max_workers=len(sides)) as pool:
        futures = {store: pool.submit(work, side) for store, side in sides.items()}
        try:
            done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            _end(futures, sides)
        return {store: future.result() for store, future in futures.items()}


def _end(futures: "dict[Store, Future[T]]", sides: Sides) -> None:
    """Cancel what still runs, again and again as it may be between two statements."""
    while running := [store for store, future in futures.items() if not future.done()]:
        for store in running:
            # What cannot be cancelled ends by itself, or with its connection.
            with suppress(psycopg.Error):
                sides[store].session.cancel_safe(timeout=CANCEL_SECONDS)
        wait(futures.values(), timeout=0.2)
