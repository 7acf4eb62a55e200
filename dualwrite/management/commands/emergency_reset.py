"""`emergency_reset --confirm`: pause every stream, and let nothing wait that only waits for time to pass."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.emergency import reset
from dualwrite.exceptions import UsageError
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.render import table


class Command(OperatorCommand):
    """0 when all of it was done; 3 when a part could not be."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """That it is meant, and why."""
        super().add_arguments(parser)
        parser.add_argument("--confirm", action="store_true", help="say that it is meant")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Do it, and say what was done and what was left."""
        if not options["confirm"]:
            raise UsageError("every stream is paused by this; say that it is meant with --confirm")
        found = reset(actor(options))
        rows = [[step.step, "done" if step.done else "NOT DONE", step.sentence] for step in found.steps]
        left = [f"left as it is: {one}" for one in found.left]
        text = "\n".join([table(["step", "", "what"], rows), *left, f"next: {found.next}"])
        self.answer(options, found.as_data(), text)
        return 0 if found.complete else 3
