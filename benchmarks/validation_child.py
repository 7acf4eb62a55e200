"""`python -m benchmarks.validation_child compare|load`: one comparison in a process of its own; its result as JSON.

What is compared comes as JSON on stdin: `stream`, `tables` (store to table, where it is not the stream's own), and for
`compare` the slice and keys of the scope. `load` reads all of both stores into dicts.
"""

import json
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import django

from benchmarks.drain import peak_bytes


def main(how: str) -> int:
    """Do it once and print seconds, peak_bytes, rows of both stores and what differs."""
    django.setup()
    asked = json.load(sys.stdin)
    found = {"compare": _compare, "load": _load}[how](_stream(asked), asked)
    print(json.dumps(found | {"peak_bytes": peak_bytes()}))
    return 0


def _stream(asked: dict[str, Any]) -> Any:
    from dualwrite.stream import stream_named

    stream = stream_named(asked["stream"])
    sides = {store: replace(side, table=asked["tables"][store]) for store, side in stream.sides.items()}
    return replace(stream, sides=sides)


def _compare(stream: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from dualwrite.runs import Watch
    from dualwrite.stages import Store
    from dualwrite.validation.engine import compare
    from dualwrite.validation.level import Level
    from dualwrite.validation.scope import Scope

    scope = Scope(tuple(asked["part"]) if asked["part"] else None, tuple(asked["named"]))
    began = time.perf_counter()
    found = compare(stream, Store.SCREENER, Level.STRICT, scope, Watch())
    seconds = time.perf_counter() - began
    keys = {kind: sorted(v.key for v in found.differences if v.kind == kind) for kind in found.tally}
    return {
        "seconds": seconds,
        "rows": list(found.rows.values()),
        "tally": found.tally,
        "keys": keys,
        "cut_short": found.cut_short,
        "method": found.method,
    }


def _load(stream: Any, asked: dict[str, Any]) -> dict[str, Any]:
    from psycopg.rows import dict_row

    from benchmarks.validation_rows import canonical
    from dualwrite.stages import Store
    from dualwrite.stores import dedicated

    began, stores = time.perf_counter(), []
    for store in Store:
        with dedicated(store, "benchmark") as session, session.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(canonical(stream, store)).fetchall()
            stores.append({(row["instrument_key"], row["index_id"]): row for row in rows})
    one, other = stores
    differing = sum(other.get(key) != row for key, row in one.items()) + len(other.keys() - one.keys())
    tally = Counter({"differing": differing}) if differing else Counter()
    return {"seconds": time.perf_counter() - began, "rows": [len(one), len(other)], "tally": tally}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
