"""`relay`: keep the mirror equal to the authority."""

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings

from dualwrite import switch
from dualwrite.configuration.refresh import REFRESHER
from dualwrite.control import ceiling
from dualwrite.management.base import OperatorCommand, chosen_streams
from dualwrite.management.progress import Steps
from dualwrite.monitoring.page import Page
from dualwrite.relay import worker
from dualwrite.relay.way import check_partitions
from dualwrite.stream import PARTITIONS

PORTS = 65536


def partitions(text: str) -> range:
    """Partitions as an operator names them: 3, or 0-7. Raises ArgumentTypeError."""
    low, dash, high = text.partition("-")
    numbers = {str(number): number for number in PARTITIONS}
    first, last = numbers.get(low), numbers.get(high if dash else low)
    if first is None or last is None or last < first:
        raise ArgumentTypeError(f"{text!r} is no partition; valid: a number up to {PARTITIONS[-1]}, or two as in 0-7")
    return range(first, last + 1)


def port(text: str) -> int:
    """A port of this machine. Raises ArgumentTypeError."""
    if not text.isdecimal() or not int(text) < PORTS:
        raise ArgumentTypeError(f"{text!r} is no port; valid: a number below {PORTS}, 0 for none")
    return int(text)


class Command(OperatorCommand):
    """Relays until it is stopped; with --once until nothing waits."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--once, --stream, --partition."""
        super().add_arguments(parser)
        parser.add_argument("--once", action="store_true", help="drain what waits, then exit")
        parser.add_argument("--stream", help="only this stream")
        parser.add_argument(
            "--partition",
            action="append",
            default=[],
            type=partitions,
            metavar="N[-M]",
            help="only these partitions, instead of a share of all; may be given several times",
        )
        parser.add_argument(
            "--metrics-port",
            type=port,
            default=settings.RELAY_METRICS_PORT,
            help="show metrics there (RELAY_METRICS_PORT; METRICS_HOST is the address, this machine unless set)",
        )

    def run(self, options: dict[str, Any]) -> int:
        """Exit code 1 when keys were parked by --once."""
        streams = chosen_streams(options)
        only = sorted({p for given in options["partition"] for p in given})
        for stream in streams if only else []:
            check_partitions(stream, only, switch.authority(stream).partitions)
        if options["once"]:
            return self._once(options, streams, only)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only a flag: the batch in hand is finished, and a second signal ends the process at once.
            signal.signal(number, lambda got, frame: self._stop(stop, got))
        REFRESHER.start()
        watcher = threading.Thread(target=ceiling.watch, args=(stop,), name="outbox ceiling")
        watcher.start()
        page = Page(options["metrics_port"])
        page.start()
        try:
            worker.run(streams, stop, only)
        finally:
            stop.set()
            page.stop()
            watcher.join()
            REFRESHER.stop()
        return 0

    def _once(self, options: dict[str, Any], streams: list[Any], only: list[int]) -> int:
        moved = {}
        with Steps() as steps:
            for stream in streams:
                steps.begin(f"{stream.name}: relaying")
                moved[stream.name] = worker.drain(stream, steps.at, only)
        rows = [{"name": name, "relayed": m.keys, "parked": m.parked} for name, m in moved.items()]
        text = "\n".join(f"{r['name']}: {r['relayed']} keys relayed, {r['parked']} parked" for r in rows)
        self.answer(options, {"streams": rows}, text)
        return 1 if any(m.parked for m in moved.values()) else 0

    def _stop(self, stop: threading.Event, number: int) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)
