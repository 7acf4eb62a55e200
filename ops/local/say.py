"""The launcher's own log: lines with a time stamp on stderr, so that stdout carries results only."""

import sys
from datetime import datetime


def say(text: str) -> None:
    """Write `text` as one line, stamped with the local time."""
    sys.stderr.write(f"{datetime.now().astimezone():%H:%M:%S} {text}\n")
    sys.stderr.flush()
