"""The launcher's own log: lines with a time stamp on stderr, so that stdout carries results only."""

import contextlib
import sys
from datetime import datetime


def say(text: str) -> None:
    """Write `text` as one line, stamped with the local time."""
    # A full disk or a closed pipe behind stderr leaves nobody to tell, and must not stop the work.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{datetime.now().astimezone():%H:%M:%S} {text}\n")
        sys.stderr.flush()
