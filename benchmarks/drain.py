"""`python -m benchmarks.drain STREAM [KEYS | --go-on]`: relay in a process of its own; seconds and peak memory as JSON.

All that waits; or until so many keys were relayed; or, without telling anything, until it is terminated.
"""

import json
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import django


def main(name: str, how: str = "") -> int:
    """Relay the stream and print keys, seconds and peak_bytes."""
    django.setup()
    from benchmarks.plain_stream import PLAIN
    from dualwrite.relay.worker import Lane, drain, run
    from dualwrite.stream import stream_named

    stream = PLAIN if name == PLAIN.name else stream_named(name)
    if how == "--go-on":
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
        run([stream], stop)
        return 0
    began = time.perf_counter()
    keys, parked = 0, 0
    if how:
        lane = Lane(stream, patient=False)
        while keys < int(how):
            moved = lane.step()
            keys, parked = keys + moved.keys, parked + moved.parked
        lane.close()
    else:
        moved = drain(stream)
        keys, parked = moved.keys, moved.parked
    seconds = time.perf_counter() - began
    print(json.dumps({"keys": keys, "parked": parked, "seconds": seconds, "peak_bytes": peak_bytes()}))
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
    sys.exit(main(*sys.argv[1:]))
