"""Attending to a run while it works, on a thread and a session of its own.

Every half second: is the lock's session still there, did somebody ask the run to stop; every second its progress goes
into its row. The session is the one that holds the lock, so a run that lost the lock learns it within a second.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from dualwrite.exceptions import Cancelled, RunLost, first_line
from dualwrite.models import Run
from dualwrite.parameters import THROTTLE_SESSIONS
from dualwrite.runs.rows import Owner
from dualwrite.runs.signals import Signals
from dualwrite.runs.watch import Watch
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, describe, reaching

TICK_SECONDS, LOOK_SECONDS, TELL_SECONDS = 0.1, 0.5, 1.0


@contextmanager
def attended(row: Run, owner: Owner, watch: Watch, busy: Store, signals: Signals) -> Iterator[None]:
    """While inside, the run of that row tells and hears; `busy` is the store whose load counts.

    Whatever ends the run, a cancel, a signal or a lost lock, is raised inside, at the latest when the block ends.
    """
    with ExitStack() as stack:
        attendant = _Attendant(row, owner.session, watch, busy, signals)
        thread = threading.Thread(target=attendant.work, name=f"run {row.pk}", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(attendant.over.set)
        yield
        watch.advance(0)


class _Attendant:
    def __init__(self, row: Run, session: Session, watch: Watch, busy: Store, signals: Signals) -> None:
        self.over = threading.Event()
        self._row, self._session, self._watch, self._busy, self._signals = row, session, watch, busy, signals
        self._table = sql.Identifier(row._meta.db_table)
        self._looked = self._told = time.monotonic()

    def work(self) -> None:
        """Attend until the run is over; what goes wrong here ends the run."""
        try:
            self._attend()
        except psycopg.Error as exc:
            self._watch.stop(RunLost(f"{describe(Store.REGISTRY)}: {first_line(exc)}"))
        except Exception as exc:  # whatever it is, it must reach the run's own thread
            self._watch.stop(exc)
        while not self.over.wait(LOOK_SECONDS):
            self._watch.stop()  # what was begun meanwhile

    def _attend(self) -> None:
        with ExitStack() as stack:
            observer = self._observer(stack)
            while not self.over.wait(TICK_SECONDS):
                self._tick(observer)

    def _observer(self, stack: ExitStack) -> Session | None:
        """A session to the busy server, where anybody wants to know its load."""
        if not THROTTLE_SESSIONS.value():
            return None
        return stack.enter_context(dedicated(self._busy, "load", limits="-c statement_timeout=5s"))

    def _tick(self, observer: Session | None) -> None:
        if self._signals.caught is not None:
            self._watch.stop(Cancelled(f"by {self._signals.caught.name}"))
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if observer is not None:
            self._watch.slow_down(self._is_loaded(observer))
        asked = self._look()
        if asked:
            self._watch.stop(Cancelled(f"by {asked}"))

    def _look(self) -> str:
        """Who asked the run to stop, having told how far it is when that is due."""
        values: dict[str, object] = {"run": self._row.pk}
        name = "asked"
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told, name = time.monotonic(), "report"
            values["progress"] = Jsonb(self._watch.progress.as_data())
            self._watch.tell()
        found = self._session.execute(compose("runs", name, table=self._table), values).fetchone()
        if found is None:
            raise RunLost(f"run {self._row.pk} was closed by somebody else")
        return str(found[0])

    def _is_loaded(self, observer: Session) -> bool:
        with reaching(self._busy):
            found = observer.execute(statement("runs", "load")).fetchone()
        return found is not None and int(found[0]) >= THROTTLE_SESSIONS.value()
