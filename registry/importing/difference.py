"""What an import changes, row by row."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a table, told apart by its identity: the values that differ as they were (None: no row) and will be."""

    table: str
    identity: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        before = None if self.before is None else dict(self.before)
        return {"table": self.table, "row": list(self.identity), "before": before, "after": dict(self.after)}


def plan_of(differences: Iterable[Difference]) -> str:
    """A short text that is the same as long as the same would be changed."""
    text = json.dumps([one.as_data() for one in differences], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
