"""Parked keys: set aside with their error and the authority's rows, so that one bad record stops nothing else."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from dualwrite.relay.reader import Reader
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream

NULL_KEY = "a part of the key is NULL in the authority's row, so no row of the mirror can be meant"
DUPLICATE_KEY = "several rows of the authority have this key, and it cannot be told which one counts"


def settle(stream: Stream, reader: Reader, registry: Session, failed: Mapping[str, str]) -> int:
    """Park the failed keys of the batch and unpark those that were applied after all; returns how many are parked.

    Runs before the batch's notes are deleted: if it dies half-way the notes are still there and all of it is repeated.
    """
    parked = {key: error for key, error in failed.items() if _park(stream, reader, registry, key, error)}
    _unpark(stream, reader, registry, parked)
    return len(parked)


def _park(stream: Stream, reader: Reader, registry: Session, key: str, error: str) -> bool:
    rows = reader.rows_of(key)
    if not rows and error == NULL_KEY:
        return False  # the row has gone, or got a whole key, meanwhile
    values = {"stream": stream.name, "key": key, "error": error, "record": Jsonb(rows)}
    registry.execute(statement("relay", "park"), values)
    return True


def _unpark(stream: Stream, reader: Reader, registry: Session, still: Mapping[str, str]) -> None:
    known = [str(row[0]) for row in registry.execute(statement("relay", "parked_keys"), {"stream": stream.name})]
    applied = [key for key in reader.among(known) if key not in still] if known else []
    if applied:
        registry.execute(statement("relay", "unpark"), {"stream": stream.name, "keys": applied})
