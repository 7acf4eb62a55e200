"""`verify_backups`: read every backup and restore it into a temporary table."""

from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from dualwrite.management import retentions
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.progress import JsonLines, Steps
from dualwrite.retention.drill import drill
from dualwrite.runs import Watch


class Command(OperatorCommand):
    """Tries all backups or one; 0 when each can be restored, 1 when one cannot."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which backup."""
        super().add_arguments(parser)
        parser.add_argument("--backup", type=int, metavar="NUMBER", help="only this backup; all unless said")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Try, and say what was found."""
        with ExitStack() as stack:
            told = JsonLines() if options["json"] else stack.enter_context(Steps())
            made = drill(actor(options), options["backup"], Watch(told.follow("drill")))
        self.answer(options, {"run": made.pk, "status": made.status, "backups": made.checked}, retentions.drilled(made))
        if any(not one["known"] for one in made.checked):
            return 3
        return 0 if made.status == "passed" else 1
