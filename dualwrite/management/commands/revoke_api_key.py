"""`revoke_api_key NAME`: the key is refused from the next request on."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.access import keys
from dualwrite.management.base import OperatorCommand, actor


class Command(OperatorCommand):
    """Revokes a key; its row stays, as the audit names it."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which one, and why."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME", help="as `list_api_keys` shows it")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Revoke it."""
        row = keys.revoke(options["name"], actor(options))
        self.answer(options, keys.as_data(row), f"API key {row.name!r} is revoked")
        return 0
