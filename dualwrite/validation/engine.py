"""Compare both stores of a stream: digests, drill-down, recheck."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dualwrite.parameters import DATE_TOLERANCE_SECONDS, NUMERIC_TOLERANCE_PERCENT
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stream import Stream
from dualwrite.validation import probe
from dualwrite.validation.digest import ONE, Digests, bucket_count, differing, digest, sizes
from dualwrite.validation.drill import Drill
from dualwrite.validation.hashing import Hashing
from dualwrite.validation.level import Level
from dualwrite.validation.recheck import STUCK_AFTER_SECONDS, recheck
from dualwrite.validation.rows import Rows
from dualwrite.validation.scope import Scope
from dualwrite.validation.sides import Side, Sides, at_once, opened
from dualwrite.validation.tolerance import Rule, Tolerance
from dualwrite.validation.verdict import Findings, Kind, Verdict

T = TypeVar("T")
#: More keys than this that seem different are a verdict in themselves.
MOST_CANDIDATES = 100_000
#: So many of them are looked at then.
SAMPLE = 2_000
#: Differences kept with the findings.
KEPT = 5_000


def compare(
    stream: Stream,
    authority: Store,
    level: Level,
    scope: Scope,
    watch: Watch,
    *,
    tolerance: Tolerance | None = None,
    stuck_after_seconds: float = STUCK_AFTER_SECONDS,
    at_a_glance: bool = True,
) -> Findings:
    """Compare the records of the scope. At levels that tolerate anything, that of the parameters unless given.

    `at_a_glance`: look at each store as a whole first, which takes half the time of a look at buckets where the stores
    are equal, and is for nothing where they are not.

    Raises Cancelled, StoreUnreachable, StoreFailed; then nothing was found out.
    """
    rule = Rule(level.fields(stream), (tolerance or in_force()) if level.tolerates else None)
    with opened(stream, watch) as sides:
        search = _Search(stream, sides, rule, scope, watch, at_a_glance)
        search.run()
    # No session is open any more: no snapshot is kept from being forgotten while keys are waited for.
    keys = search.chosen()
    watch.phase(f"looking at {len(keys)} keys again", len(keys))
    verdicts = list(recheck(stream, authority, keys, rule, watch, stuck_after_seconds=stuck_after_seconds))
    return search.findings(authority, verdicts, len(keys))


def in_force() -> Tolerance:
    """The tolerance of the parameters."""
    return Tolerance(NUMERIC_TOLERANCE_PERCENT.value(), DATE_TOLERANCE_SECONDS.value())


@dataclass
class _Search:
    """Looking for candidates: what was counted on the way, and the keys."""

    stream: Stream
    sides: Sides
    rule: Rule
    scope: Scope
    watch: Watch
    at_a_glance: bool = True
    method: str = ""
    buckets: int = 0
    differing: int = 0
    rows: Counter[Store] = field(default_factory=Counter)
    snapshots: dict[Store, datetime] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    #: The share of the keys' hashes that was looked through when it was cut short.
    share: float = 1.0

    def run(self) -> None:
        """Find the candidates."""
        hashing = Hashing(probe.agreed(self.sides), secrets.token_hex(16))
        self.method = hashing.method.value

        def rows_of(side: Side) -> Rows:
            return probe.with_exact(side, Rows(self.stream, side.store, self.rule.fields, hashing))

        rows = at_once(self.sides, rows_of)
        drill = Drill(self.sides, rows, self.rule)
        tables = sizes(self.sides)
        self.snapshots = {store: table.at for store, table in tables.items()}
        if self.scope.part:
            estimate = [round(table.rows * self.scope.share) for table in tables.values()]
            if not (self.at_a_glance and self._is_equal(rows, sum(estimate))):
                self.watch.phase("comparing digests", sum(estimate))
                self._look_into(drill, self._digests(rows, bucket_count(max(estimate))))
        if self.scope.named:
            self._look_up(drill)

    def _is_equal(self, rows: dict[Store, Rows], estimate: int) -> bool:
        self.watch.phase("comparing as a whole", estimate)
        return not differing(*self._digests(rows, ONE).values())

    def _digests(self, rows: dict[Store, Rows], buckets: int) -> dict[Store, Digests]:
        """The digests of both stores; what they count replaces what was counted by a look before."""
        found = at_once(self.sides, lambda side: digest(side, rows[side.store], self.scope, buckets))
        self.buckets = buckets
        self.rows = Counter({store: one.rows for store, one in found.items()})
        self.snapshots = {store: one.at for store, one in found.items()}
        return found

    def _look_into(self, drill: Drill, found: dict[Store, Digests]) -> None:
        some = differing(*found.values())
        self.differing = len(some)
        if not some:
            return
        reading = sum(one.counts[bucket] for one in found.values() for bucket in some)
        self.watch.phase(f"looking into {len(some)} of {self.buckets} buckets", reading)
        for place, keys in drill.candidates(self.scope, self.buckets, some):
            self.keys += keys
            if len(self.keys) > MOST_CANDIDATES:
                low, high = self.scope.bounds
                self.share = max((place - low) / (high - low), 1e-9)
                return

    def _look_up(self, drill: Drill) -> None:
        self.watch.phase(f"looking up {len(self.scope.named)} keys", 2 * len(self.scope.named))
        for rows, keys in drill.named(self.scope):
            self.rows.update(rows)
            self.keys += keys

    @property
    def is_cut_short(self) -> bool:
        """Whether there were too many candidates."""
        return len(self.keys) > MOST_CANDIDATES

    def chosen(self) -> Sequence[str]:
        """The keys to look at: all, or of too many some that lie evenly among them."""
        return self.keys[:: max(len(self.keys) // SAMPLE, 1)] if self.is_cut_short else self.keys

    def findings(self, authority: Store, verdicts: Sequence[Verdict], looked_at: int) -> Findings:
        """What was found, with the verdicts about the keys looked at."""
        tally, fields = Counter(v.kind for v in verdicts), Counter(name for v in verdicts for name in v.fields)
        records = sum((verdict.records for verdict in verdicts), Counter[Kind]())
        unequal = sum(verdict.counts[0] for verdict in verdicts)
        cut_short = ""
        if self.is_cut_short:
            factor = len(self.keys) / self.share / looked_at
            tally, fields, records = _times(tally, factor), _times(fields, factor), _times(records, factor)
            unequal = round(unequal * factor)
            cut_short = f"more than {MOST_CANDIDATES} keys seem different; {looked_at} of them were looked at"
        rows = {store: self.rows[store] for store in Store}
        return Findings(
            rows,
            self.snapshots,
            tally,
            records,
            fields,
            list(verdicts[:KEPT]),
            method=self.method,
            buckets=self.buckets,
            differing=self.differing,
            cut_short=cut_short,
            matched=max(rows[authority] - unequal, 0),
        )


def _times(counts: "Counter[T]", factor: float) -> "Counter[T]":
    return Counter({name: round(count * factor) for name, count in counts.items()})
