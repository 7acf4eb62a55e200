"""Processes that save rows one at a time through the ORM and take the time of each save."""

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

from django.db import connections

from registry.screener.models import ScreenerIndexMembership

PROCESSES = 8


@dataclass(frozen=True)
class Job:
    """`saves` saves by each of `writers` processes into the table of that name in `schema`."""

    schema: str
    operation: str
    writers: int
    saves: int


def use_schema(schema: str) -> None:
    """Let the old store's models mean the tables of that schema, on this process's connection."""
    with connections["screener"].cursor() as cursor:
        cursor.execute("SELECT set_config('search_path', %s, false)", (schema,))


class Writers:
    """Processes that wait for jobs; a job's writers start together, once each has its objects ready."""

    def __init__(self, rows: int) -> None:
        connections.close_all()  # a forked process must not share a connection
        context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, number, rows), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> "Writers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def run(self, job: Job) -> list[float]:
        """The seconds of every save; raises EOFError when a writer died (its own error is on stderr)."""
        pipes = self._pipes[: job.writers]
        for pipe in pipes:
            pipe.send(job)
        for pipe in pipes:
            pipe.recv()
        for pipe in pipes:
            pipe.send(None)
        return [seconds for pipe in pipes for seconds in pipe.recv()]


def _work(pipe: Connection, number: int, rows: int) -> None:
    """Prepare a job, say so, wait for the word, do it, answer with the seconds of each save; again, until ended."""
    chance = random.Random(number)
    while True:
        job: Job = pipe.recv()
        use_schema(job.schema)
        objects = _OBJECTS[job.operation](chance, number, rows, job.saves)
        pipe.send(len(objects))
        pipe.recv()
        pipe.send([_save(one) for one in objects])


def _save(one: ScreenerIndexMembership) -> float:
    began = time.perf_counter()
    one.save()
    return time.perf_counter() - began


def _to_update(chance: random.Random, number: int, rows: int, saves: int) -> list[ScreenerIndexMembership]:
    """Rows of this writer alone, so that writers never wait for each other's row locks."""
    mine = range(number + 1, rows + 1, PROCESSES)
    found = ScreenerIndexMembership.objects.in_bulk(chance.choices(mine, k=saves))
    for one in found.values():
        one.weight = chance.randrange(10_000)
    return list(found.values())


def _to_insert(chance: random.Random, number: int, rows: int, saves: int) -> list[ScreenerIndexMembership]:
    return [
        ScreenerIndexMembership(
            exchange="NSE",
            symbol=f"W{number}X{chance.randrange(10**12)}",
            index_name="NIFTY 50",
            weight=chance.randrange(10_000),
            sector="Energy",
        )
        for _ in range(saves)
    ]


_OBJECTS: dict[str, Callable[[random.Random, int, int, int], list[ScreenerIndexMembership]]] = {
    "update": _to_update,
    "insert": _to_insert,
}
