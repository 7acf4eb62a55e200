"""Parked keys: set aside with their error and the authority's rows, so that one bad record stops nothing else.

What the mirror's server refused may be accepted later: the row in the way goes, a constraint is mended, a server gets
room. So such a key is tried again by itself, after a second, two, four …, until it was tried RETRY_ATTEMPTS times. From
then on, and at once where only another record can help, it stays parked until it is written or an operator sends it
again. It is listed from the first failure on, and never expires.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg import errors

from dualwrite import measured
from dualwrite.exceptions import first_line
from dualwrite.parameters import RETRY_ATTEMPTS
from dualwrite.relay.reader import Reader
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream

#: What the data of one record can cause; anything else is about the whole batch and is not a reason to park.
POISON = (errors.DataError, errors.IntegrityError, errors.RaiseException, errors.ProgramLimitExceeded)
#: Between the first two attempts; twice as long each time after, up to the second figure.
PAUSE_SECONDS = (1.0, 60.0)
#: A relay that died with due keys in hand leaves them to others after this.
CLAIM_SECONDS = 60.0
#: Keys tried again at a time.
MOST_AGAIN = 1_000


@dataclass(frozen=True)
class Failure:
    """Why a key was not applied. `sqlstate`: what the mirror's server called it; empty where the relay refused."""

    error: str
    sqlstate: str = ""
    refusal: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """A word for what it is, of which there are few."""
        return self.refusal or measured.kind_of(self.sqlstate)


NULL_KEY = Failure(
    "a part of the key is NULL in the authority's row, so no row of the mirror can be meant", refusal="NullKey"
)
DUPLICATE_KEY = Failure(
    "several rows of the authority have this key, and it cannot be told which one counts", refusal="DuplicateKey"
)


def refused(exc: psycopg.Error) -> Failure:
    """What the mirror's server said about the record."""
    primary = exc.diag.message_primary or first_line(exc)
    detail = f" ({exc.diag.message_detail})" if exc.diag.message_detail else ""
    return Failure(f"{primary}{detail}", exc.sqlstate or "")


@dataclass(frozen=True)
class Seen:
    """A parked key as it was found: one that is parked again since, or given up and parked anew, is another."""

    id: int
    attempts: int


def seen(stream: Stream, registry: Session) -> dict[str, Seen]:
    """Every parked key of the stream. To be read before the records are: see `settle`."""
    return _found(registry, "parked", {"stream": stream.name})


def settle(
    stream: Stream, reader: Reader, registry: Session, failed: Mapping[str, Failure], before: Mapping[str, Seen]
) -> int:
    """Park the failed keys of the batch and unpark those that were applied after all; returns how many are parked.

    Runs before the batch's notes are deleted: if it dies half-way the notes are still there and all of it is repeated.
    `before`: what was parked before the records were read. What somebody else has parked since may be a newer record
    than mine, whose note he has deleted; so it stays parked.
    """
    rows = reader.rows_of(list(failed)) if failed else {}
    # A key with a NULL part that no row has any more: its row has gone, or got a whole key, meanwhile.
    parked = {key: failure for key, failure in failed.items() if key in rows or failure != NULL_KEY}
    for key, failure in parked.items():
        values = {"stream": stream.name, "key": key, "record": rows.get(key, "[]"), **_tried(failure)}
        registry.execute(statement("relay", "park"), values)
        measured.failed(stream.name, failure.kind)
    if before:
        applied = [key for key in reader.among(list(before)) if key not in parked]
        unpark(registry, {key: before[key] for key in applied})
    return len(parked)


def unpark(registry: Session, applied: Mapping[str, Seen]) -> None:
    """These have been applied; those that failed again since they were seen stay parked."""
    if applied:
        values = {"ids": [one.id for one in applied.values()], "attempts": [one.attempts for one in applied.values()]}
        registry.execute(statement("relay", "unpark"), values)


def _tried(failure: Failure) -> dict[str, object]:
    first, most = PAUSE_SECONDS
    tries = RETRY_ATTEMPTS.value() if failure.sqlstate else 1
    return {"error": failure.error, "sqlstate": failure.sqlstate, "tries": tries, "pause": first, "longest": most}


def due(stream: Stream, registry: Session) -> list[str]:
    """Parked keys whose time has come to be tried again; no other relay is given them."""
    values = {"stream": stream.name, "claim": CLAIM_SECONDS, "most": MOST_AGAIN}
    return [str(row[0]) for row in registry.execute(statement("relay", "due"), values)]


def blocked(stream: Stream, registry: Session, sqlstates: Collection[str], most: int) -> dict[str, Seen]:
    """Parked keys that failed for one of these reasons, the latest first."""
    values = {"stream": stream.name, "sqlstates": list(sqlstates), "most": most}
    return _found(registry, "blocked", values)


def _found(registry: Session, name: str, values: Mapping[str, object]) -> dict[str, Seen]:
    rows = registry.execute(statement("relay", name), values)
    return {str(key): Seen(int(number), int(attempts)) for key, number, attempts in rows}
