"""`create_api_key NAME --role ROLE`: a key for somebody or something that asks over HTTP. It is shown once."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from dualwrite.access import keys
from dualwrite.clearance import Clearance, clearance_named
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.moments import duration


class Command(OperatorCommand):
    """Makes a key; standard output has it, and nothing but it unless --json."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose it is, and what it may do."""
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME", help="whose it is; the audit knows it by this name")
        parser.add_argument("--role", required=True, help=", ".join(Clearance))
        parser.add_argument("--expires", metavar="TIME", help="after how long, such as 12h or 90d; never unless said")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Make it and show it."""
        lasts = options["expires"]
        expires_at = timezone.now() + duration("--expires", lasts) if lasts is not None else None
        made = keys.create(options["name"], clearance_named(options["role"]), actor(options), expires_at)
        until = f"until {made.row.expires_at:%Y-%m-%d %H:%M:%S %Z}" if made.row.expires_at else "until it is revoked"
        self.stderr.write(
            f"API key {made.row.name!r}, role {made.row.role}, valid {until}. It is shown this once and never again; "
            f"send it as X-Internal-API-Key. manage.py revoke_api_key {made.row.name!r} ends it.",
        )
        self.answer(options, {"key": made.text, **keys.as_data(made.row)}, made.text)
        return 0
