"""Whether a database answers and takes writes."""

from dataclasses import dataclass
from typing import Any

from dualwrite.exceptions import StoreUnreachable
from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor


@dataclass(frozen=True, kw_only=True)
class StoreCheck(Check):
    """One store's database."""

    store: Store

    def run(self) -> dict[str, Any]:
        """Return store, server, version and database; raise Down when it is away or read-only."""
        try:
            with cursor(self.store) as found:
                found.execute(statement("monitoring", "server"))
                version, name, read_only = found.fetchone()
        except StoreUnreachable as exc:
            raise Down(str(exc), {"store": self.store.value}) from exc
        details = {"store": self.store.value, "server": "PostgreSQL", "version": version, "database": name}
        if read_only:
            raise Down("the server takes no writes (it is a standby, or set to read-only)", details)
        return details
