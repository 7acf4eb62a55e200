"""Ctrl-C and a request to terminate, while a run is under way: it is stopped as by a cancel, then the process is.

Without this a run would hear of Ctrl-C only when the statements of its threads have ended by themselves.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

#: Only what nobody else handles is taken over.
_USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Signals:
    """`caught` is the signal that came, None before. Outside of the main thread nothing is taken over."""

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            free = [number for number, usual in _USUAL.items() if signal.getsignal(number) == usual]
            self._before = {number: signal.signal(number, self._note) for number in free}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def pass_on(self) -> None:
        """The run has ended: what was caught now does what it usually does."""
        self._give_back()
        if self.caught is not None:
            signal.raise_signal(self.caught)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # No lock is taken here: whoever was interrupted may have it.
        if self.caught is not None:
            self.pass_on()  # asked twice: at once
        self.caught = signal.Signals(number)

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
