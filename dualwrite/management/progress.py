"""Progress of long work on stderr: a bar on a terminal, otherwise a plain line now and then."""

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

LINE_EVERY_SECONDS = 2.0


class Steps:
    """A sequence of named steps; `at` says how far the one under way has come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bars = self._make_bars() if self._stream.isatty() else None
        self._label, self._last_line = "", 0.0

    def __enter__(self) -> "Steps":
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, label: str) -> None:
        """Start the next step; the one before is over."""
        self._label, self._last_line = label, time.monotonic()
        if self._bars is None:
            self._line(label)
            return
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        self._bars.add_task(label, total=None)

    def at(self, done: int, total: int | None = None) -> None:
        """The step has come to `done`, of `total` where that is known."""
        if self._bars is not None:
            for task in self._bars.task_ids:
                self._bars.update(task, completed=done, total=total)
        elif time.monotonic() - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            self._line(f"{self._label}: {done}" + (f" of {total}" if total else ""))

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _make_bars(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=Console(file=self._stream), transient=True)
