"""A value that is kept for some seconds, so that asking often does not mean asking a database often."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Makes the value anew when it is older than `seconds`. One thread makes it, others wait for it."""

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._value: T | None = None
        self._made_at = float("-inf")

    def get(self) -> T:
        """The value; raises what making it raises."""
        with self._lock:
            if self._value is None or time.monotonic() - self._made_at > self._seconds:
                self._value, self._made_at = self._make(), time.monotonic()
            return self._value
