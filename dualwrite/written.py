"""What became of a written record, in each store: the same words and names everywhere, from call to HTTP answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dualwrite.stages import Store


class Outcome(StrEnum):
    """What a store has of a record."""

    WRITTEN = "written"  #: the authority has it
    MIRRORED = "mirrored"  #: the mirror has it, or what the authority has by now
    PENDING = "pending"  #: it is noted, and the relay carries it
    PARKED = "parked"  #: the mirror cannot take it; it is set aside with its error until it is mended or sent again
    PAUSED = "paused"  #: the stream stands still, or is disabled


@dataclass(frozen=True)
class InStore:
    """The outcome in one store, milliseconds until then (the mirror's from the commit on), and why it is no better."""

    outcome: Outcome
    milliseconds: float
    error: str = ""


@dataclass(frozen=True)
class Written:
    """One record: its key as the authority has it, and each store that is part of the stream, the authority first."""

    key: str
    stores: Mapping[Store, InStore] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For JSON: `{"key", "stores": {STORE: {"outcome", "milliseconds", "error"}}}`."""
        stores = {
            store.value: {"outcome": one.outcome.value, "milliseconds": one.milliseconds, "error": one.error}
            for store, one in self.stores.items()
        }
        return {"key": self.key, "stores": stores}
