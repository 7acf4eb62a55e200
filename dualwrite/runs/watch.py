"""What a run tells and asks while it works. Safe to be used by several threads of one run at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import errors

from dualwrite.exceptions import Cancelled
from dualwrite.parameters import THROTTLE_PAUSE_SECONDS, VALIDATION_BATCH_SIZE
from dualwrite.stores import Session

#: So long may a server take to accept that a statement is cancelled, in seconds.
CANCEL_SECONDS = 2.0
#: A breath never takes longer, however loaded the server is: a run holds snapshots open, so it must come to an end.
LONGEST_BREATH_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """How far a phase has come. `total` is an estimate, None where there is none."""

    phase: str = ""
    rows: int = 0
    total: int | None = None
    seconds: float = 0.0

    @property
    def rows_per_second(self) -> int:
        """Rows done in a second of this phase so far."""
        return round(self.rows / self.seconds) if self.seconds > 0 else 0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the phase is done at this speed; None where nobody can tell."""
        if not self.total or not self.rows:
            return None
        return round(max(self.total - self.rows, 0) * self.seconds / self.rows, 1)

    def as_data(self) -> dict[str, object]:
        """As JSON."""
        own = {"phase": self.phase, "rows": self.rows, "total": self.total, "seconds": round(self.seconds, 1)}
        return {**own, "rows_per_second": self.rows_per_second, "eta_seconds": self.eta_seconds}


Sink = Callable[[Progress], None]


class Watch:
    """One run as it works. `sink` is called when a phase begins, and by whoever attends to the run.

    `batch_size`: rows it is to take over from a server at a time.
    """

    def __init__(self, sink: Sink = lambda progress: None, *, batch_size: int | None = None) -> None:
        self._sink = sink
        self.batch_size = batch_size or VALIDATION_BATCH_SIZE.value()
        self._guard = threading.Lock()
        self._stopped, self._clear = threading.Event(), threading.Event()
        self._clear.set()
        self._ended: Exception | None = None
        self._sessions: set[Session] = set()
        self._phase, self._rows, self._since = "", 0, time.monotonic()
        self._total: int | None = None

    def phase(self, sentence: str, total_rows: int | None = None) -> None:
        """A phase begins; `total_rows` is an estimate. Raises as `advance`."""
        with self._guard:
            self._phase, self._total, self._rows, self._since = sentence, total_rows, 0, time.monotonic()
        self.tell()
        self._go_on()

    def advance(self, rows: int) -> None:
        """So many more rows are done; raises Cancelled when the run is to stop, or why it cannot go on."""
        with self._guard:
            self._rows += rows
        self._go_on()

    def breathe(self) -> None:
        """Between two statements: waits as configured and while the server is loaded. Raises as `advance`."""
        until = time.monotonic() + LONGEST_BREATH_SECONDS
        self._stopped.wait(THROTTLE_PAUSE_SECONDS.value())
        while not (self._stopped.is_set() or self._clear.is_set() or time.monotonic() > until):
            self._clear.wait(0.1)
        self._go_on()

    def pause(self, seconds: float) -> None:
        """Wait so long; when the run is to stop it ends at once. Raises as `advance`."""
        self._stopped.wait(seconds)
        self._go_on()

    @contextmanager
    def session(self, session: Session) -> Iterator[None]:
        """While inside, a request to stop also cancels what runs on this session, which then raises Cancelled."""
        with self._guard:
            self._sessions.add(session)
        try:
            self._go_on()
            yield
        except errors.QueryCanceled:
            self._go_on()
            raise
        finally:
            with self._guard:
                self._sessions.discard(session)

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        with self._guard:
            return Progress(self._phase, self._rows, self._total, time.monotonic() - self._since)

    def tell(self) -> None:
        """Tell the sink how far the run has come."""
        self._sink(self.progress)

    def stop(self, why: Exception | None = None) -> None:
        """Let the run end at its next word, with Cancelled unless said, and cancel its statements.

        Done again it cancels what was begun meanwhile.
        """
        with self._guard:
            self._ended = self._ended or why or Cancelled()
            running = list(self._sessions)
        self._stopped.set()
        for session in running:
            # Gone already, or its server does not answer: the run ends at its next word all the same.
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=CANCEL_SECONDS)

    @property
    def is_clear(self) -> bool:
        """Whether breaths go on at once."""
        return self._clear.is_set()

    def slow_down(self, loaded: bool) -> None:
        """Whether breaths wait."""
        if loaded:
            self._clear.clear()
        else:
            self._clear.set()

    def _go_on(self) -> None:
        if self._ended is not None:
            raise self._ended
