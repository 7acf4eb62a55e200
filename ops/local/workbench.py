"""Servers that exist for one run of the tests or one benchmark, in a directory that goes with them."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ops.local import environment
from ops.local.children import hold_signals
from ops.local.locks import Lock
from ops.local.place import Place
from ops.local.services import Services

PREFIX = "instrument-registry-"
OWNER = "owner"


@contextlib.contextmanager
def throw_away(*, durable: bool) -> Iterator[dict[str, str]]:
    """Fresh servers while inside; yields an environment whose account may create databases.

    Servers that the environment names are used as they are. `durable`: writes reach the disk.
    """
    sweep()
    place = Place(Path(tempfile.mkdtemp(prefix=PREFIX)), durable=durable, permanent=False).create()
    owner = Lock(place.lock(OWNER))
    owner.take()
    try:
        credentials, _ = Services.of(place).ensure(os.environ)
        yield environment.superuser(os.environ, credentials)
    finally:
        hold_signals()
        remove(place)
        owner.release()


def sweep() -> None:
    """Remove what a killed launcher of this user left: its lock is free, its servers may run still."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock_file = Place(directory).lock(OWNER)
        if directory.is_symlink() or not lock_file.exists() or directory.stat().st_uid != os.geteuid():
            continue
        lock = Lock(lock_file)
        if lock.take():
            remove(Place(directory))
        lock.release()


def remove(place: Place) -> None:
    """Stop the servers of `place` at once and delete their data."""
    services = Services.of(place)
    services.stop(now=True)
    for directory in {services.postgres.home, place.var}:
        shutil.rmtree(directory, ignore_errors=True)
