"""What a validation takes beside its limit, one concurrent COPY of both stores to nowhere, and beside its peers.

Each comparison runs in a process of its own, whose start is not counted, and has to find exactly what differs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import validation_limit, validation_peer
from benchmarks.enabling import enable_empty
from benchmarks.harness import Case, Goal, Group, Ratio, Round, Sample, quotient
from benchmarks.validation_asking import compare, load
from benchmarks.validation_rows import Memberships
from dualwrite.stages import Store
from dualwrite.stream import stream_named
from dualwrite.validation.coverage import SLICES
from dualwrite.validation.scope import Scope
from dualwrite.validation.verdict import Kind

ROUNDS = 5
#: With more rows than this, what takes the peers minutes, and Python many gigabytes, is left out.
MOST_ROWS_OF_PEERS = 2_000_000
#: Sizes of the tables whose times are compared, in tenths of the rows.
TENTHS = {"tenth": 1, "four_tenths": 4}
#: One row in so many was changed since the last run.
CHANGED = 1_000
COPY, COPY_DIFFERING = Goal(1.0), Goal(1.6)
PEERS = {"ids": Goal(3.5, at_least=True), "natural_key": Goal(9, at_least=True)}
PEER_DIFFERING, PYTHON = Goal(9, at_least=True), Goal(11, at_least=True)
EXPONENT, PEAK_MB = Goal(1.05), Goal(200)
#: With a slice of all keys, which a table without an index for it is read through for, less is asked.
KEYS, KEYS_AND_SLICE = Goal(20, at_least=True), Goal(1, at_least=True)


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Iterable[Group]]:
    """The groups: equal stores, three sizes, a part of the keys; then, planted once these are done, differences."""
    members = Memberships(stream_named("index_memberships"), rows)
    enable_empty(members.stream)
    say(f"filling both stores with {rows} memberships")
    members.fill()
    how, limit = validation_limit.chosen(members.stream)
    say(f"the limit: {how}")
    python = _peer(members, say)
    yield _Groups(members, limit, python).all(say)


def _peer(members: Memberships, say: Callable[[str], None]) -> Path | None:
    if members.rows > MOST_ROWS_OF_PEERS:
        say(f"reladiff and loading into Python are left out with more than {MOST_ROWS_OF_PEERS} rows")
        return None
    python = validation_peer.installed(say)
    if python:
        validation_peer.make_tables(members)
    return python


@dataclass(frozen=True)
class _Groups:
    """The groups over these memberships; `python`: the peer's, where there is one."""

    members: Memberships
    limit: Case
    python: Path | None

    def all(self, say: Callable[[str], None]) -> Iterator[Group]:
        """One after the other, each made when the one before is done."""
        yield self._equal()
        say("filling tables of a tenth and of four tenths")
        yield self._scaling()
        yield self._incremental()
        say("planting differences in the mirror")
        self.members.plant()
        if self.python:
            validation_peer.make_numbered(self.members, Store.REGISTRY)
        yield self._differing()

    def _equal(self) -> Group:
        cases: dict[str, Case] = {"compare_equal": self._compare, "copy_equal": self.limit}
        ratios = [Ratio("equal_over_copy", quotient("compare_equal", "copy_equal"), COPY)]
        for run, goal in PEERS.items() if self.python else ():
            cases[f"reladiff_{run}"] = partial(self._by_peer, run)
            ratios.append(Ratio(f"reladiff_{run}_over_equal", quotient(f"reladiff_{run}", "compare_equal"), goal))
        if self.members.rows <= MOST_ROWS_OF_PEERS:
            cases["python_load"] = partial(load, self.members.stream, self.members.rows)
            ratios.append(Ratio("python_load_over_equal", quotient("python_load", "compare_equal"), PYTHON))
        return Group(ROUNDS, cases, ratios)

    def _differing(self) -> Group:
        cases: dict[str, Case] = {
            "compare_differing": partial(self._compare, self.members.planted),
            "copy_differing": self.limit,
        }
        ratios = [Ratio("differing_over_copy", quotient("compare_differing", "copy_differing"), COPY_DIFFERING)]
        if self.python:
            cases["reladiff_differing"] = partial(self._by_peer, "ids", self.members.planted)
            above = quotient("reladiff_differing", "compare_differing")
            ratios.append(Ratio("reladiff_over_differing", above, PEER_DIFFERING))
        return Group(ROUNDS, cases, ratios)

    def _scaling(self) -> Group:
        cases: dict[str, Case] = {}
        for name, tenths in TENTHS.items():
            rows = self.members.rows * tenths // 10
            cases[f"compare_{name}"] = partial(compare, self.members.smaller(name, rows), Scope.whole(), rows, {})
        cases["compare_whole"] = self._compare
        ratios = [Ratio("exponent", _exponent, EXPONENT), Ratio("peak_mb", _peak_mb, PEAK_MB)]
        return Group(ROUNDS, cases, ratios)

    def _incremental(self) -> Group:
        keys = self.members.some(CHANGED)
        scopes = {"keys": Scope.keys(keys), "keys_and_slice": Scope.slice(0, SLICES).and_keys(keys)}
        rows = {"keys": len(keys), "keys_and_slice": None}
        cases: dict[str, Case] = {
            f"compare_{name}": partial(compare, self.members.stream, scope, rows[name], {})
            for name, scope in scopes.items()
        }
        cases["compare_full"] = self._compare
        goals = {"keys": KEYS, "keys_and_slice": KEYS_AND_SLICE}
        ratios = [
            Ratio(f"full_over_{name}", quotient("compare_full", f"compare_{name}"), goal)
            for name, goal in goals.items()
        ]
        return Group(ROUNDS, cases, ratios)

    def _compare(self, planted: Mapping[Kind, list[int]] | None = None) -> Sample:
        return compare(self.members.stream, Scope.whole(), self.members.rows, planted or {})

    def _by_peer(self, run: str, planted: Mapping[Kind, list[int]] | None = None) -> Sample:
        assert self.python  # noqa: S101 - there is no such case without it
        return validation_peer.compare(self.python, run, planted or {})


def _exponent(found: Round) -> float:
    """By which power of the rows the seconds grow, between the two largest tables."""
    smaller, larger = (found[f"compare_{name}"].seconds for name in ("four_tenths", "whole"))
    return math.log(larger / smaller) / math.log(10 / TENTHS["four_tenths"])


def _peak_mb(found: Round) -> float:
    return max(sample.peak_bytes or 0 for sample in found.values()) / 2**20
