"""File locks between launchers; the kernel lets go of them when a process dies, however it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Lock:
    """An flock on `path`, held from a successful `take` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Lock, or turn the lock held into the other kind. False when another process prevents it."""
        kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(self._file, kind)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go; to be called once."""
        os.close(self._file)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold `path` locked, waiting for whoever holds it."""
    lock = Lock(path)
    try:
        lock.take(wait=True)
        yield
    finally:
        lock.release()


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` as a whole; nobody ever sees half of it, or the text under a wider mode."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
