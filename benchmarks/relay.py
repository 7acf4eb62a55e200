"""How fast the relay is beside its limit, one upsert of as many rows on the mirror's server, and its memory.

Nine tenths of the rows are changed ones of a mirror with five times as many, one tenth is new. The relay reads them
from the other database and writes them, in a process of its own; the upsert finds them in a table of its own session.
Then how fast it is with an outbox of many keys, of which a fifth have a record, and how far behind (`lag`).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from benchmarks import lag
from benchmarks.enabling import empty_outbox, enable_empty
from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Sample, peak_spread, quotient
from benchmarks.members import Members
from benchmarks.plain_stream import PLAIN, TABLES
from dualwrite import capture
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import stream_named

ROUNDS = 5
#: Share of one upsert's rows per second, by what is read back of what was applied.
THROUGHPUT = {"disabled": Goal(0.5, at_least=True), "strict": Goal(0.4, at_least=True)}
#: An outbox of many keys has so many times the rows; of it, as of a small one, half as many keys as rows are relayed.
MANY, MANY_ROUNDS = 25, 1
DRAIN = Goal(0.5, at_least=True)
MEMORY = Goal(1.2)
#: Outbox sizes whose peak memory is compared, in rows relayed.
OUTBOXES = {"quarter": 0.25, "whole": 1.0, "fourfold": 4.0}


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Sequence[Group]]:
    """The groups: both streams against their upsert, and the relay's memory at three sizes of the outbox."""
    memberships = Members(stream_named("index_memberships"), rows)
    plain = Members(PLAIN, rows)
    _make_tables()
    for members in (plain, memberships):
        enable_empty(members.stream)
        say(f"{members.stream.name}: filling both stores")
        members.fill()
    empty_outbox()
    serials = count(1)
    yield [
        _throughput(memberships, "index_memberships", serials),
        _throughput(plain, "without_domain_triggers", serials),
        _memory(plain),
        _many(plain),
        lag.group(plain),
    ]


def _make_tables() -> None:
    for store in Store:
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(TABLES)
        capture.install(store)


def _throughput(members: Members, name: str, serials: Iterator[int]) -> Group:
    relays = {f"relay_{name}_{mode}": partial(_relay_changes, members, serials, mode) for mode in THROUGHPUT}
    cases = {**relays, f"upsert_{name}": partial(_upsert, members, serials)}
    ratios = [
        Ratio(f"{name}_{mode}", quotient(f"upsert_{name}", f"relay_{name}_{mode}"), goal)
        for mode, goal in THROUGHPUT.items()
    ]
    return Group(ROUNDS, cases, ratios)


def _memory(members: Members) -> Group:
    cases = {
        f"outbox_{name}": partial(_relay_notes, members, max(int(members.rows * share), 1))
        for name, share in OUTBOXES.items()
    }
    return Group(1, cases, [Ratio("memory", peak_spread, MEMORY)])


def _many(members: Members) -> Group:
    """How fast the first keys of a large outbox are relayed, and the same number of keys when there are no more."""
    some = max(members.rows // 2, 1)
    cases = {
        "keys_of_few": partial(_relay_some, members, some, some),
        "keys_of_many": partial(_relay_some, members, members.rows * MANY, some),
    }
    return Group(MANY_ROUNDS, cases, [Ratio("many_keys", quotient("keys_of_few", "keys_of_many"), DRAIN)])


def _relay_some(members: Members, noted: int, relayed: int) -> Sample:
    empty_outbox()
    members.note_many(noted, among=members.rows * MANY)
    found = _drain(members, relayed, str(relayed))
    empty_outbox()
    return found


def _relay_changes(members: Members, serials: Iterator[int], mode: str) -> Sample:
    members.change(next(serials))
    return _drain(members, None, mode=mode)


def _relay_notes(members: Members, notes: int) -> Sample:
    members.note(notes)
    return _drain(members, notes)


def _drain(members: Members, expected: int | None, *how: str, mode: str = "strict") -> Sample:
    """Relay in a process of its own; raises BenchError when that fails or moves other keys than expected."""
    command = [sys.executable, "-m", "benchmarks.drain", members.stream.name, *how]
    environment = {**os.environ, "INSTRUMENT_REGISTRY_VALIDATION_MODE": mode}
    child = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=environment)
    if child.returncode:
        raise BenchError(f"the relay of {members.stream.name} ended with exit code {child.returncode}")
    found = json.loads(child.stdout)
    if found["parked"] or found["keys"] < (expected or members.rows * 0.9):
        raise BenchError(f"the relay of {members.stream.name} moved {found['keys']} keys, parked {found['parked']}")
    return Sample(found["seconds"], found["peak_bytes"])


def _upsert(members: Members, serials: Iterator[int]) -> Sample:
    with dedicated(Store.REGISTRY, "benchmark") as session:
        members.stage(next(serials), session)
        began = time.perf_counter()
        members.upsert(session)
        return Sample(time.perf_counter() - began)
