"""Programs of their own for `test_switch_kills`: writers that follow the authority, and one that moves it.

Arguments: KIND NAME JOURNAL SEED (see `START`). SIGTERM lets what is in hand be finished first. A
writer tells its journal what it tries before, and that it was acknowledged after; each life of a writer has records of
its own (named NAME-0, NAME-1, ...), as a server may still commit what a writer sent just before it was killed.
"""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
from django.db import DatabaseError, transaction

from dualwrite import switch
from dualwrite.control.handover import hand_over
from dualwrite.exceptions import DualWriteError, NotAuthority
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import stream_named
from tests.integration.write_kinds import fields, model, run_psql
from tests.writing import TABLES

START = "import django; django.setup(); from tests.acceptance import switch_actors; switch_actors.main()"
KEYS = 20
HOT = "HOT"
#: Between two writes of one writer, and between two switches, in seconds.
PAUSE = {"orm": 0.010, "raw": 0.005, "psql": 0.010, "switch": 0.3}
#: SQLSTATE of a write that was not taken: not the authority, or the lock of a switch waited for in vain.
NOT_TAKEN = ("DW001", "55P03")


class Journal:
    """Lines, each written at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def line(self, *words: object) -> None:
        """Add one."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


class Writer:
    """Puts, deletes and counts, in whichever store takes it."""

    def __init__(self) -> None:
        self.store = Store.SCREENER
        self.sessions: dict[Store, Session] = {store: dedicated(store, "test writer") for store in Store}

    def write(self, verb: str, symbol: str, value: str) -> None:
        """Write it where it is taken; returns when it was acknowledged."""
        pause = threading.Event()
        while True:
            try:
                return self._write(verb, symbol, value)
            except (NotAuthority, psycopg.Error, DatabaseError, AssertionError) as exc:
                if not not_taken(exc):
                    raise
                self.store = self.store.peer
                pause.wait(0.02)

    def _write(self, verb: str, symbol: str, value: str) -> None:
        table = TABLES[self.store]
        query = table.sql(STATEMENTS[verb])
        self.execute(query, {"name": table.name(symbol), "value": value})

    def execute(self, query: psycopg.sql.Composed, values: dict[str, str]) -> None:
        """By the driver."""
        self.sessions[self.store].execute(query, values)


STATEMENTS = {
    "put": "WITH changed AS (UPDATE index_memberships SET sector = %(value)s WHERE {key} = %(name)s RETURNING {key})"
    " INSERT INTO index_memberships ({key}, sector, {same}) SELECT %(name)s, %(value)s, {values}"
    " WHERE NOT EXISTS (SELECT FROM changed)",
    "delete": "DELETE FROM index_memberships WHERE {key} = %(name)s",
    "count": "UPDATE index_memberships SET sector = (sector::int + 1)::text WHERE {key} = %(name)s",
}


class PsqlWriter(Writer):
    """By psql, a process a write."""

    def execute(self, query: psycopg.sql.Composed, values: dict[str, str]) -> None:
        text = psycopg.ClientCursor(self.sessions[self.store]).mogrify(query, values)
        run_psql(TABLES[self.store], "--command", text)


class OrmWriter(Writer):
    """By the registry's models, through the router."""

    def _write(self, verb: str, symbol: str, value: str) -> None:
        table = TABLES[self.store]
        rows = model(table).objects
        mine = fields(table, symbol)
        if verb == "put":
            rows.update_or_create(**mine, defaults={"sector": value})
        elif verb == "delete":
            rows.filter(**mine).delete()
        else:
            with transaction.atomic(using=self.store.alias):
                row = rows.select_for_update().get(**mine)
                row.sector = str(int(row.sector or 0) + 1)
                row.save(update_fields=["sector"])


def not_taken(exc: BaseException) -> bool:
    """Whether the write was refused, so that it is certain that nothing of it stays."""
    if isinstance(exc, NotAuthority):
        return True
    if isinstance(exc, AssertionError):
        return any(words in str(exc) for words in ("takes its writes", "is under way"))
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    return isinstance(cause, psycopg.Error) and cause.sqlstate in NOT_TAKEN


def write_on(writer: Writer, name: str, journal: Journal, dice: random.Random, stopped: Callable[[], bool]) -> None:
    """Write until told to stop."""
    number = 0
    while not stopped():
        number += 1
        verb = dice.choices(["put", "delete", "count"], [6, 2, 2])[0]
        symbol = HOT if verb == "count" else f"{name}-{dice.randrange(KEYS)}"
        journal.line("try", verb, symbol, f"v{number}")
        writer.write(verb, symbol, f"v{number}")
        journal.line("ok")


def switch_on(journal: Journal, stopped: Callable[[], bool]) -> None:
    """Move the authority there and back until told to stop."""
    stream = stream_named("index_memberships")
    actor = switch.Actor("test", "there and back")
    while not stopped():
        try:
            done = hand_over(stream, switch.authority(stream).store.peer, actor)
            journal.line("switched", done.epoch, f"{done.stall_seconds:.3f}")
        except DualWriteError as exc:
            journal.line("refused", exc)


def main() -> None:
    """Be one of them."""
    kind, name, path, seed = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    journal, dice = Journal(Path(path)), random.Random(seed)

    def stopped() -> bool:
        return stop.wait(PAUSE[kind] * 2 * dice.random())

    if kind == "switch":
        switch_on(journal, stopped)
    else:
        writer = {"orm": OrmWriter, "raw": Writer, "psql": PsqlWriter}[kind]()
        write_on(writer, name, journal, dice, stopped)
