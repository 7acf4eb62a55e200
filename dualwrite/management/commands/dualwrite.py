"""`dualwrite`: everything an operator does with a stream."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from dualwrite.management import began
from dualwrite.management.base import OperatorCommand
from dualwrite.management.verbs import VERBS, require_taken


class Command(OperatorCommand):
    """One command, one verb."""

    #: Set where a process was started for it.
    asked_at: datetime | None = None
    help = "\n".join(f"{name}: {(verb.__doc__ or '').strip()}" for name, verb in VERBS.items())

    def run_from_argv(self, argv: list[str]) -> None:
        """As typed; whoever typed it knew nothing of what was done since."""
        self.asked_at = began.BEGAN
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The verb and what it may need; a verb says itself what it lacks."""
        super().add_arguments(parser)
        parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help=", ".join(VERBS))
        parser.add_argument("words", nargs="*", metavar="KEY", help="for explain: a key, as a JSON array or in words")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--stream", help="only this stream")
        which.add_argument("--all", action="store_true", help="every stream")
        parser.add_argument("--store", help="screener or registry")
        parser.add_argument("--role", help="the engine's database role, for install and sql")
        parser.add_argument(
            "--to", metavar="STAGE", help="the stage to go to, for advance and rollback; a number, for partitions"
        )
        parser.add_argument("--from", metavar="STAGE", help="refuse it unless it is this stage; advance and rollback")
        parser.add_argument(
            "--key",
            action="append",
            help="one key, as a JSON array; for redrive, deleted and undelete also several times",
        )
        parser.add_argument(
            "--since", metavar="TIME", help="deleted since then, e.g. 2026-05-01T12:00Z; deleted, undelete"
        )
        parser.add_argument("--reason", default="", help="why; kept in the audit")
        parser.add_argument("--seconds", type=float, help="how long to rehearse, 20 unless said")
        parser.add_argument("--rate", type=float, help="writes a second of a rehearsal, 200 unless said")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument("--force", action="store_true", help="do it although a gate is closed; needs --reason")

    def run(self, options: dict[str, Any]) -> int:
        """Run the verb and show its answer."""
        require_taken(options["verb"], options)
        answer = VERBS[options["verb"]]({**options, "asked_at": self.asked_at})
        self.answer(options, answer.data, answer.text)
        return answer.code
