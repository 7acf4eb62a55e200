"""What processes count for themselves, where no row tells it: how long it takes, what was refused, what came back.

Labels are bounded: streams, stores, and names of kinds of errors, never keys or sentences.

How it can fail, and the answer: with several processes each counts into files of its own, and a disk that is full, or
a directory that is gone, is an error of the count → it is told once, and whoever counted goes on: no write fails for a
number; a process dies → its files still count until the service begins anew (`monitoring.multiprocess`).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram
from psycopg import errors

log = logging.getLogger(__name__)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OPERATION = Histogram(
    "registry_dualwrite_operation_seconds",
    "Time of one transaction of the engine in a store: a write to the authority, a batch applied to the mirror.",
    ["stream", "store"],
    buckets=BUCKETS,
)
APPLY_ERRORS = Counter(
    "registry_dualwrite_apply_errors",
    "Keys that could not be applied to the mirror, and batches broken off, by the kind of error.",
    ["stream", "reason"],
)
COMPARISONS = Counter(
    "registry_dualwrite_comparisons",
    "Records read back from the mirror in the transaction that wrote them: equal to what was sent, or different.",
    ["stream", "result"],
)
#: For an error that the server's list of codes does not have.
OTHER = "Other"
_told: set[str] = set()


def took(stream: str, store: str, seconds: float) -> None:
    """A transaction in that store took so long."""
    with counting():
        OPERATION.labels(stream, store).observe(max(0.0, seconds))


def failed(stream: str, reason: str) -> None:
    """A key, or a batch, could not be applied."""
    with counting():
        APPLY_ERRORS.labels(stream, reason).inc()


def compared(stream: str, *, equal: int, different: int) -> None:
    """So many records were read back."""
    with counting():
        COMPARISONS.labels(stream, "equal").inc(max(0, equal))
        COMPARISONS.labels(stream, "different").inc(different)


def kind_of(sqlstate: str) -> str:
    """The name of the server's error code; a code that an application made up is `Other`."""
    try:
        return errors.lookup(sqlstate).__name__
    except KeyError:
        return OTHER


@contextmanager
def counting() -> Iterator[None]:
    """Count inside: what cannot be counted is told once, and whoever counts goes on."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as exc:
        if type(exc).__name__ not in _told:
            _told.add(type(exc).__name__)
            log.warning("metrics of this process are not counted: %s", exc)
