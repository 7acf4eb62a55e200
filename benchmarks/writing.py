"""One record by `stream.write`, mirrored before the answer, beside what it replaces: saving the model of each store.

The naive way has twins of both tables, with the domain's triggers and without the engine's: a mirror takes nobody's
writes but the relay's. So it pays for no note and no guard, and nobody tells it that its second save was lost. The same
change is made in turn, one record at a time; a case's figure is the median of its writes.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import count
from statistics import median

from django.db import connections

from benchmarks.enabling import enable_empty
from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Sample, quotient
from dualwrite import writing
from dualwrite.control.relaying import relaying
from dualwrite.relay.worker import drain
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import Stream, stream_named
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership

ROUNDS = 15
GOAL = Goal(1.0)
INDEX = {"ours": "OURS", "naive": "NAIVE"}
RELAY_STARTS_WITHIN_SECONDS = 60.0
TWIN = """
CREATE SCHEMA plain;
CREATE TABLE plain.index_memberships (LIKE {schema}.index_memberships INCLUDING ALL);
"""
#: The triggers of the domain, for the twin.
DOMAINS_TRIGGERS = """
SELECT replace(pg_get_triggerdef(t.oid), 'instrument_registry.index_memberships', 'plain.index_memberships')
  FROM pg_trigger t WHERE t.tgrelid = 'instrument_registry.index_memberships'::regclass
   AND NOT t.tgisinternal AND t.tgname NOT LIKE 'dualwrite%'
"""


@dataclass(frozen=True)
class Twins:
    """The naive way's rows, as both models have them."""

    old: Sequence[ScreenerIndexMembership]
    new: Sequence[IndexMembership]


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Iterable[Group]]:
    """Two groups: no other relay there, and one at work in a process of its own."""
    stream = stream_named("index_memberships")
    enable_empty(stream)
    twins = _make_twins(rows)
    stream.write([_record(number, Decimal(0)) for number in range(rows)])
    drain(stream)
    changes = count(1)
    try:
        yield _groups(stream, twins, changes, say)
    finally:
        writing.close()


def _groups(stream: Stream, twins: Twins, changes: Iterator[int], say: Callable[[str], None]) -> Iterator[Group]:
    yield _group(stream, twins, changes, "alone")
    with _relay_process(stream, say):
        yield _group(stream, twins, changes, "beside_a_relay")


def _group(stream: Stream, twins: Twins, changes: Iterator[int], name: str) -> Group:
    ours = partial(_ours, stream, len(twins.old), changes)
    naive = partial(_naive, twins, changes)
    cases = {
        f"naive_{name}": lambda: Sample(median(whole for whole, _ in naive())),
        f"second_save_{name}": lambda: Sample(median(second for _, second in naive())),
        f"write_{name}": lambda: Sample(median(whole for whole, _ in ours())),
        f"mirroring_{name}": lambda: Sample(median(mirroring for _, mirroring in ours())),
    }
    ratios = [
        Ratio(f"write_{name}", quotient(f"write_{name}", f"naive_{name}"), GOAL),
        Ratio(f"mirroring_{name}", quotient(f"mirroring_{name}", f"second_save_{name}"), GOAL),
    ]
    return Group(ROUNDS, cases, ratios)


def _naive(twins: Twins, changes: Iterator[int]) -> list[tuple[float, float]]:
    """Of each record: seconds for both saves, and for the second one."""
    found = []
    with _search_path("plain"):
        weight = _weight(changes)
        for old, new in zip(twins.old, twins.new, strict=True):
            old.weight = new.weight = weight
            began = time.perf_counter()
            old.save(using=Store.SCREENER.alias)
            between = time.perf_counter()
            new.save(using=Store.REGISTRY.alias)
            ended = time.perf_counter()
            found.append((ended - began, ended - between))
    return found


def _ours(stream: Stream, rows: int, changes: Iterator[int]) -> list[tuple[float, float]]:
    """Of each record: seconds for the call, and from the commit until it was mirrored."""
    found = []
    weight = _weight(changes)
    for number in range(rows):
        began = time.perf_counter()
        [written] = stream.write([_record(number, weight)])
        ended = time.perf_counter()
        mirrored = written.stores[Store.REGISTRY]
        if mirrored.outcome is not writing.Outcome.MIRRORED:
            raise BenchError(f"a record is {mirrored.outcome}: {mirrored.error}")
        found.append((ended - began, mirrored.milliseconds / 1000))
    return found


def _record(number: int, weight: Decimal) -> dict[str, object]:
    return {
        "instrument_key": f"NSE:S{number}",
        "index_id": INDEX["ours"],
        "weight": weight,
        "sector": "Energy",
        "date_added": None,
    }


def _weight(changes: Iterator[int]) -> Decimal:
    """One that no row has yet."""
    return Decimal(next(changes)).scaleb(-6)


def _make_twins(rows: int) -> Twins:
    for store, schema in ((Store.SCREENER, "public"), (Store.REGISTRY, "instrument_registry")):
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(TWIN.format(schema=schema).encode())
            if store is Store.REGISTRY:
                for row in session.execute(DOMAINS_TRIGGERS).fetchall():
                    session.execute(row[0])
    index = INDEX["naive"]
    with _search_path("plain"):
        old = [
            ScreenerIndexMembership(symbol=f"S{n}", exchange="NSE", index_name=index, sector="Energy")
            for n in range(rows)
        ]
        new = [IndexMembership(instrument_key=f"NSE:S{n}", index_id=index, sector="Energy") for n in range(rows)]
        return Twins(
            ScreenerIndexMembership.objects.using(Store.SCREENER.alias).bulk_create(old),
            IndexMembership.objects.using(Store.REGISTRY.alias).bulk_create(new),
        )


@contextmanager
def _search_path(schema: str) -> Iterator[None]:
    """Let Django's own connections find tables there first."""
    for store in Store:
        with connections[store.alias].cursor() as cursor:
            cursor.execute(
                "SELECT set_config('search_path', %s || ', ' || current_setting('search_path'), false)", [schema]
            )
    try:
        yield
    finally:
        for store in Store:
            with connections[store.alias].cursor() as cursor:
                cursor.execute("RESET search_path")


@contextmanager
def _relay_process(stream: Stream, say: Callable[[str], None]) -> Iterator[None]:
    say("starting a relay")
    relay = subprocess.Popen([sys.executable, "manage.py", "relay", "--stream", stream.name])
    try:
        found = relaying(stream, Store.SCREENER, patience=RELAY_STARTS_WITHIN_SECONDS)
        if found.why:
            raise BenchError(f"no relay: {found.why}")
        yield
    finally:
        relay.terminate()
        relay.wait()
