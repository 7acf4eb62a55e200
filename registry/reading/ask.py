"""Questions that only the registry can answer, by the named statements of `reading.sql`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualwrite.sql import named_statements
from dualwrite.stages import Store
from dualwrite.stores import cursor

STATEMENTS = named_statements(Path(__file__).parent.parent / "sql" / "reading.sql")
#: Conditions for versions `h` of spells: as known now, or at a moment.
KNOWN_NOW = "h.superseded_at IS NULL"
KNOWN_AT = "h.recorded_at <= %(known_at)s AND (h.superseded_at IS NULL OR h.superseded_at > %(known_at)s)"


def ask(name: str, values: Mapping[str, Any], **parts: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, its {places} filled with parts of our own; raises StoreUnreachable, StoreFailed."""
    text = STATEMENTS[name].format(**parts) if parts else STATEMENTS[name]
    return asked(text, values)


def asked(text: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement that is whole; raises StoreUnreachable, StoreFailed."""
    with cursor(Store.REGISTRY) as found:
        found.execute(text, values)
        return list(found.fetchall())


def known(known_at: object | None) -> str:
    """The condition for versions that count."""
    return KNOWN_NOW if known_at is None else KNOWN_AT
