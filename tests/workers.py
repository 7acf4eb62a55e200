"""How tests share the machine when `./run test` runs them in several workers.

A worker has databases of its own and runs whole files. A test marked `alone` presses the machine with writers of its
own, or asks what a machine that is not pressed does in time, so it runs while no other test does.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

#: More than cores, as most tests wait for a server or a process now and then.
SPARE_WORKERS = 1
MOST_WORKERS = 6


def number(config: pytest.Config) -> int:
    """How many for this run; 0, which is one process, where it names files or words, or makes the long runs."""
    whole = all(Path(argument).is_dir() for argument in config.args) and not config.option.keyword
    if not whole or config.getoption("--deep"):
        return 0
    return min((os.cpu_count() or 1) + SPARE_WORKERS, MOST_WORKERS)


def place(config: pytest.Config, *, alone: bool) -> contextlib.AbstractContextManager[None]:
    """Where a test of this process runs: in the room, or anywhere when there are no workers."""
    if not hasattr(config, "workerinput"):
        return contextlib.nullcontext()
    return room(config.cache.mkdir("workers"), alone=alone)


@contextlib.contextmanager
def room(directory: Path, *, alone: bool) -> Iterator[None]:
    """Be in the room that this directory stands for, with others or alone.

    Who wants to be alone keeps the door while the others leave, so that nobody else comes in meanwhile.
    """
    with (directory / "door").open("w") as door, (directory / "room").open("w") as inside:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
