"""`startup`: what is looked at before requests are taken, in order, and what mends each."""

import threading
import time
from argparse import ArgumentParser
from typing import Any

from dualwrite.management.base import OperatorCommand
from dualwrite.monitoring.startup import Report, start_up

PAUSE_SECONDS = 1.0


class Command(OperatorCommand):
    """0 when nothing blocks; 1 when something does."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--wait."""
        super().add_arguments(parser)
        parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="ask again for so long")

    def run(self, options: dict[str, Any]) -> int:
        """Ask, again and again where that was asked for, and tell what came out last."""
        until, pace = time.monotonic() + options["wait"], threading.Event()
        report = start_up()
        while report.blocking and time.monotonic() < until:
            pace.wait(PAUSE_SECONDS)
            report = start_up()
        ready = not report.blocking
        steps = [found.as_data() for found in report.findings]
        self.answer(options, {"ready": ready, "steps": steps}, _text(report))
        return 0 if ready else 1


def _text(report: Report) -> str:
    marks = {(True, False): "✓", (False, False): "!", (False, True): "✗"}
    lines = [f"{marks[one.passed, one.blocking]} {one.line} ({one.seconds:.2f} s)" for one in report.findings]
    said = "ready" if not report.blocking else f"{len(report.blocking)} steps keep requests from being taken"
    return "\n".join([*lines, said])
