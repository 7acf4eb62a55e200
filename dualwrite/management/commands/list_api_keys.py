"""`list_api_keys`: every key, what it may do, when it was used last. No key itself is kept, so none is shown."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from dualwrite.access import keys
from dualwrite.management.base import OperatorCommand
from dualwrite.management.render import table

HEAD = ["name", "role", "key begins", "created", "by", "last used", "expires", ""]


class Command(OperatorCommand):
    """Lists the keys, those that are refused as well."""

    help = __doc__ or ""

    def run(self, options: dict[str, Any]) -> int:
        """List them."""
        rows, now = keys.all_keys(), timezone.now()
        lines = [
            [r.name, r.role, r.prefix, _day(r.created_at), r.created_by, _minute(r.last_used_at), _day(r.expires_at)]
            for r in rows
        ]
        text = table(HEAD, [[*line, row.why_refused(now)] for line, row in zip(lines, rows, strict=True)])
        none = "There is no key yet; manage.py create_api_key NAME --role viewer|operator|admin makes one."
        self.answer(options, {"keys": [keys.as_data(row) for row in rows]}, text if rows else none)
        return 0


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d}" if at else "-"


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"
