"""What is found: verdicts about keys, and the findings of a comparison."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dualwrite.stages import Store


class Kind(StrEnum):
    """What is wrong with a key."""

    MISSING = "missing_in_mirror"
    EXTRA = "extra_in_mirror"
    MISMATCH = "field_mismatch"
    UNSETTLED = "unsettled"  #: it never came to rest: neither a difference nor equal
    STUCK = "relay_stuck"  #: it waits to be relayed, and nobody relays


class History(StrEnum):
    """What is known of the way of a key to the mirror."""

    PENDING = "pending"
    PARKED = "parked"
    NEVER_CAPTURED = "never captured"


@dataclass(frozen=True)
class Verdict:
    """A key that differs, with both stores' first records, what is known of its way, and the fields that differ.

    `counts`: how many records the authority and the mirror have of it. `note`: how it was compared, if not as others.
    """

    kind: Kind
    key: str
    authority: list[dict[str, Any]]
    mirror: list[dict[str, Any]]
    history: str
    fields: tuple[str, ...] = ()
    counts: tuple[int, int] = (0, 0)
    note: str = ""

    @property
    def records(self) -> "Counter[Kind]":
        """How many records that is: one key may have many on one side, and few or none on the other."""
        here, there = self.counts
        if self.kind in (Kind.UNSETTLED, Kind.STUCK):
            return Counter({self.kind: max(here, there, 1)})
        more = Counter({Kind.MISSING: max(here - there, 0), Kind.EXTRA: max(there - here, 0)})
        return +(more + Counter({self.kind: min(here, there)}))


@dataclass(frozen=True)
class Findings:
    """What a comparison found. Totals are of all, `differences` the first of them.

    rows: records of the scope, by store, in the snapshot of that time. matched: the authority's that are equal.
    tally: keys by kind. records: records by kind, since a key may have several.
    fields: how often each field differed. method, buckets, differing: how it was compared.
    cut_short: empty, or why not everything was looked at; totals of differences are estimates then.
    """

    rows: dict[Store, int]
    snapshots: dict[Store, datetime]
    tally: Counter[Kind] = field(default_factory=Counter)
    records: Counter[Kind] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    differences: list[Verdict] = field(default_factory=list)
    method: str = ""
    buckets: int = 0
    differing: int = 0
    cut_short: str = ""
    matched: int = 0

    @property
    def names_all(self) -> bool:
        """Whether every key that differs is among the differences kept."""
        return not self.cut_short and len(self.differences) == self.tally.total()
