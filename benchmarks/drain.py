"""`python -m benchmarks.drain STREAM`: relay what waits, in a process of its own; seconds and peak memory as JSON."""

import json
import resource
import sys
import time
from pathlib import Path

import django


def main(name: str) -> int:
    """Drain the stream's outbox and print keys, seconds and peak_bytes."""
    django.setup()
    from benchmarks.plain_stream import PLAIN
    from dualwrite.relay.worker import drain
    from dualwrite.stream import stream_named

    stream = PLAIN if name == PLAIN.name else stream_named(name)
    began = time.perf_counter()
    moved = drain(stream)
    seconds = time.perf_counter() - began
    print(json.dumps({"keys": moved.keys, "parked": moved.parked, "seconds": seconds, "peak_bytes": peak_bytes()}))
    return 0


def peak_bytes() -> int:
    """The most memory this process ever had resident.

    On Linux not from getrusage, whose peak a process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
