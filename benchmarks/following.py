"""Processes that save memberships at a steady rate, each save into the store that takes it, and time each of them."""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from multiprocessing.connection import Connection
from types import TracebackType

from django.db import DatabaseError, connections

from dualwrite import router
from dualwrite.control.rehearsal.figures import Write
from dualwrite.exceptions import NotAuthority
from dualwrite.stages import Store
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership

PROCESSES = 4
SAVES_PER_SECOND = 500
#: What the triggers say of a store that does not take the write.
ELSEWHERE = "DW001"

#: Instrument key and index of a membership.
Key = tuple[str, str]
Row = dict[Store, IndexMembership | ScreenerIndexMembership]


@dataclass(frozen=True)
class Written:
    """What one writer did: its saves, and for each key the weight it was acknowledged last."""

    saves: list[Write]
    acknowledged: dict[Key, Decimal]


class Followers:
    """Writers that save from `start` to `stop`, each its own memberships, in turn."""

    def __init__(self) -> None:
        connections.close_all()  # a forked process must not share a connection
        context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, number), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> "Followers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def start(self, here: Store) -> None:
        """Let all of them begin, in the store that takes the writes now."""
        for pipe in self._pipes:
            pipe.send(here)

    def stop(self) -> Sequence[Written]:
        """What each did; raises EOFError when one died (its own error is on stderr)."""
        for pipe in self._pipes:
            pipe.send(None)
        return [pipe.recv() for pipe in self._pipes]


def _work(pipe: Connection, number: int) -> None:
    """Wait for the word, save until the next one, answer; again, until ended."""
    rows = _rows(number)
    weights = (Decimal(n).scaleb(-6) for n in count(number + 1, PROCESSES))
    turn = _in_turn(rows)
    while True:
        here: Store = pipe.recv()
        pipe.send(_save_until_told(pipe, here, turn, weights))


def _rows(number: int) -> dict[Key, Row]:
    """Every PROCESSES-th membership as each store has it, so that no two writers have one in common."""
    new = {(m.instrument_key, m.index_id): m for m in IndexMembership.objects.order_by("instrument_key", "index_id")}
    old = {(f"{m.exchange}:{m.symbol}", str(m.index_name)): m for m in ScreenerIndexMembership.objects.all()}
    mine = list(new)[number::PROCESSES]
    return {key: {Store.REGISTRY: new[key], Store.SCREENER: old[key]} for key in mine}


def _in_turn(rows: dict[Key, Row]) -> Iterator[tuple[Key, Row]]:
    while True:
        yield from rows.items()


def _save_until_told(
    pipe: Connection, here: Store, turn: Iterator[tuple[Key, Row]], weights: Iterator[Decimal]
) -> Written:
    saves: list[Write] = []
    acknowledged: dict[Key, Decimal] = {}
    due = time.monotonic()
    # Until the next save is due, unless told to stop before. After a stall the saves that are due follow at once.
    while not pipe.poll(max(due - time.monotonic(), 0)):
        (key, row), weight = next(turn), next(weights)
        save, here = _save(row, weight, here)
        saves.append(save)
        acknowledged[key] = weight
        due += PROCESSES / SAVES_PER_SECOND
    pipe.recv()
    return Written(saves, acknowledged)


def _save(row: Row, weight: Decimal, here: Store) -> tuple[Write, Store]:
    """Save into this store, or the other when this one refuses it; as often as needed. Returns the one that took it."""
    began, refused = time.monotonic(), 0
    while True:
        row[here].weight = weight
        try:
            row[here].save()
            return Write(began, time.monotonic(), refused), here
        except (NotAuthority, DatabaseError) as exc:
            if not _taken_elsewhere(exc):
                raise
        refused += 1
        router.forget_roles()
        here = here.peer


def _taken_elsewhere(exc: BaseException) -> bool:
    return isinstance(exc, NotAuthority) or getattr(exc.__cause__, "sqlstate", None) == ELSEWHERE
