"""Progress of long work on stderr: a bar on a terminal, otherwise a plain line now and then, or JSON lines."""

import json
import sys
import time
from collections.abc import Callable
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

from dualwrite.runs import Progress as Reached

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
        self._bars.add_task(label, total=None, speed="")

    def at(self, done: int, total: int | None = None, speed: str = "") -> None:
        """The step has come to `done`, of `total` where that is known, at that speed where anybody wants to know."""
        if self._bars is not None:
            for task in self._bars.task_ids:
                self._bars.update(task, completed=done, total=total, speed=speed)
        elif time.monotonic() - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            self._line(f"{self._label}: {done}" + (f" of {total}" if total else "") + (f", {speed}" if speed else ""))

    def follow(self, name: str) -> Callable[[Reached], None]:
        """What a run of that name is to call: each of its phases is a step."""

        def show(reached: Reached) -> None:
            label = f"{name}: {reached.phase}"
            if label != self._label:
                self.begin(label)
            if reached.rows:
                self.at(reached.rows, reached.total, _speed(reached))

        return show

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _make_bars(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
        )
        return Progress(*columns, console=Console(file=self._stream), transient=True)


def _speed(reached: Reached) -> str:
    left = reached.eta_seconds
    return f"{reached.rows_per_second}/s" + (f", {left:.0f} s left" if left is not None else "")


class JsonLines:
    """The same for machines: a JSON object on stderr when a phase begins, and now and then."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._phase, self._last_line = "", 0.0

    def follow(self, name: str) -> Callable[[Reached], None]:
        """What a run of that name is to call."""

        def show(reached: Reached) -> None:
            now = time.monotonic()
            if reached.phase == self._phase and now - self._last_line < LINE_EVERY_SECONDS:
                return
            self._phase, self._last_line = reached.phase, now
            print(json.dumps({"stream": name, **reached.as_data()}), file=self._stream, flush=True)

        return show
