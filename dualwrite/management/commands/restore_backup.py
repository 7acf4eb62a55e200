"""`restore_backup`: bring back rows that a retention run removed."""

from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from dualwrite.management import retentions
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.moments import moment
from dualwrite.management.progress import JsonLines, Steps
from dualwrite.retention.restore import Asked, Conflict, restore
from dualwrite.runs import Watch


class Command(OperatorCommand):
    """Restores all rows of a run's backup, or some; 0 when they are back."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which rows, and what becomes of those that are there."""
        super().add_arguments(parser)
        parser.add_argument("number", type=int, metavar="RUN", help="the retention run that removed them")
        parser.add_argument("--part", type=int, help="only this part of the backup, from 1")
        parser.add_argument(
            "--key", action="append", default=[], help="only rows of this key, or about it; several times for several"
        )
        parser.add_argument("--from", dest="since", help="only rows from this day or moment on, ISO 8601, UTC")
        parser.add_argument("--to", dest="until", help="only rows from before this day or moment")
        conflicts = [conflict.value for conflict in Conflict]
        parser.add_argument("--on-conflict", default=Conflict.FAIL.value, choices=conflicts, help="rows that are there")
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Restore, and say what came back."""
        asked = Asked(
            part=options["part"],
            keys=tuple(options["key"]),
            since=moment("--from", options["since"]),
            until=moment("--to", options["until"]),
            on_conflict=Conflict(options["on_conflict"]),
            dry_run=options["dry_run"],
        )
        with ExitStack() as stack:
            told = JsonLines() if options["json"] else stack.enter_context(Steps())
            made = restore(options["number"], asked, actor(options), Watch(told.follow("restore")))
        self.answer(options, retentions.restored_data(made), retentions.restored(made))
        return 0
