"""Reading what a store is and what it remembers of the other one, in one snapshot of it."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from django.db import connections, transaction

from dualwrite.exceptions import NotInstalled, StoreFailed
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import cursor, describe
from dualwrite.stream import all_streams
from dualwrite.switch.memory import Memory, Reading
from dualwrite.switch.state import State

#: Parts of the place that only the server can tell, and some do not.
TOLD_BY_SERVER = ("system", "timeline")


def read(store: Store) -> Reading:
    """The store as it is, its place without what only the server can tell; raises NotInstalled, StoreUnreachable."""
    with cursor(store) as found:
        found.execute(statement("state", "pairable"))
        if not found.fetchone()[0]:
            raise NotInstalled(describe(store))
        found.execute(statement("state", "identity"))
        row = found.fetchone()
    if row is None:
        raise NotInstalled(describe(store))
    identity, peer_identity, noted, peer_noted, text = row
    return _reading(store, identity, int(noted), peer_identity, int(peer_noted), json.loads(text))


def _reading(
    store: Store, identity: str, noted: int, peer_identity: str | None, peer_noted: int, more: Mapping[str, Any]
) -> Reading:
    rows = _declared(more["streams"])
    epochs = {name: int(row["peer_epoch"]) for name, row in rows.items()}
    return Reading(
        store=store,
        name=describe(store),
        identity=identity,
        place=more["place"],
        noted=noted,
        states={name: _state(store, row) for name, row in rows.items()},
        applied=_declared(more["applied"]),
        peer=Memory(peer_identity, more["peer_place"], peer_noted, epochs, _declared(more["peer_applied"])),
    )


def _declared(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of what is kept by stream, or by "stream/partition": that of streams which are still declared."""
    names = {stream.name for stream in all_streams()}
    return {key: value for key, value in (found or {}).items() if key.partition("/")[0] in names}


def _state(store: Store, row: Mapping[str, Any]) -> State:
    kept = ("epoch", "capture", "generation", "backfilled", "partitions")
    return State(store, Role(row["role"]), **{name: row[name] for name in kept})


def told(reading: Reading) -> Reading:
    """The reading with what the server tells of itself."""
    alias = reading.store.alias
    # A refusal must not spoil the transaction of a caller who has one open.
    inner = transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()
    try:
        with cursor(reading.store) as found, inner:
            found.execute(statement("state", "server"))
            row = found.fetchone()
    except StoreFailed:
        return reading
    return replace(reading, place={**reading.place, **dict(zip(TOLD_BY_SERVER, row, strict=True))})
