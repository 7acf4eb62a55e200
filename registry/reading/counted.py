"""What each process counts of reads: how long they take, and what comparing them has shown.

Labels are bounded: streams, stores, results, and consumers, who are as many as there are keys.
"""

from prometheus_client import Counter, Histogram

from dualwrite.measured import BUCKETS, counting
from dualwrite.stages import Store

READ = Histogram(
    "registry_api_read_seconds",
    "Time to read records for an answer, by the store that answered.",
    ["stream", "store"],
    buckets=BUCKETS,
)
COMPARED_READ = Histogram(
    "registry_api_compared_read_seconds",
    "Time to read the same records from the store they were compared with.",
    ["stream", "store"],
    buckets=BUCKETS,
)
COMPARISONS = Counter(
    "registry_api_comparisons",
    "Comparisons of a read with the other store (ab) or with the same store (aa), by result: equal, mismatch, "
    "ignored, unsettled, timeout, failed, dropped.",
    ["stream", "mode", "result"],
)
CALLS = Counter("registry_api_calls", "Requests by consumer and contract (api, screener).", ["consumer", "contract"])


def read(stream: str, store: Store, seconds: float) -> None:
    """Records were read for an answer."""
    with counting():
        READ.labels(stream, store.value).observe(max(0.0, seconds))


def read_again(stream: str, store: Store, seconds: float) -> None:
    """The same were read to be compared."""
    with counting():
        COMPARED_READ.labels(stream, store.value).observe(max(0.0, seconds))


def compared(stream: str, mode: str, result: str) -> None:
    """A comparison ended like that."""
    with counting():
        COMPARISONS.labels(stream, mode, result).inc()


def called(consumer: str, contract: str) -> None:
    """A consumer called."""
    with counting():
        CALLS.labels(consumer, contract).inc()
