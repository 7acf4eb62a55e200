"""Parked keys: set aside with their error and the authority's rows, so that one bad record stops nothing else."""

from collections.abc import Mapping

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
    rows = reader.rows_of(list(failed)) if failed else {}
    # A key with a NULL part that no row has any more: its row has gone, or got a whole key, meanwhile.
    parked = {key: error for key, error in failed.items() if key in rows or error != NULL_KEY}
    for key, error in parked.items():
        values = {"stream": stream.name, "key": key, "error": error, "record": rows.get(key, "[]")}
        registry.execute(statement("relay", "park"), values)
    _unpark(stream, reader, registry, parked)
    return len(parked)


def _unpark(stream: Stream, reader: Reader, registry: Session, still: Mapping[str, str]) -> None:
    known = [str(row[0]) for row in registry.execute(statement("relay", "parked_keys"), {"stream": stream.name})]
    applied = [key for key in reader.among(known) if key not in still] if known else []
    if applied:
        registry.execute(statement("relay", "unpark"), {"stream": stream.name, "keys": applied})
