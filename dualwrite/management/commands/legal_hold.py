"""`legal_hold`: keep rows, whatever a retention policy says; without an option, tell what is held."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.exceptions import UsageError
from dualwrite.management import retentions
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.moments import moment
from dualwrite.models import LegalHold
from dualwrite.retention import holds
from dualwrite.stages import Store
from dualwrite.stores import reaching


class Command(OperatorCommand):
    """Adds or releases a hold, or lists those in force; 0 when done."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What is held, or which hold ends."""
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--table", help="hold rows of this table; all of them unless --name and --value say which")
        what.add_argument("--release", type=int, metavar="HOLD", help="end this hold")
        parser.add_argument("--name", default="", help="what the value names, e.g. instrument_key")
        parser.add_argument("--value", default="", help="only rows that have it")
        parser.add_argument("--until", help="a day or moment at which it ends by itself, ISO 8601, UTC")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Hold, release or list."""
        if options["release"] is not None:
            found = [holds.release(options["release"], actor(options))]
            said = f"hold {found[0].pk} is released: {found[0]}"
        elif options["table"] is not None:
            found = [self._held(options)]
            said = f"hold {found[0].pk}: {found[0]}; nothing of it is removed from now on"
        else:
            found = _in_force(options)
            said = retentions.held(found)
        self.answer(options, {"holds": [retentions.held_data(hold) for hold in found]}, said)
        return 0

    def _held(self, options: dict[str, Any]) -> LegalHold:
        until = moment("--until", options["until"])
        return holds.hold(options["table"], actor(options), options["name"], options["value"], until)


def _in_force(options: dict[str, Any]) -> list[LegalHold]:
    if options["name"] or options["value"] or options["until"]:
        raise UsageError("a hold needs --table")
    with reaching(Store.REGISTRY):
        return list(LegalHold.objects.filter(released_at=None))
