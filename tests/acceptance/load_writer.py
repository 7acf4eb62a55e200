"""A program of its own for `test_validation_under_load`: writes of all kinds to one store, at a steady rate.

Arguments: STORE RATE SEED TALLY. Each thread has a connection and records of its own (W0-0, W0-1, ...). A write is due
at an instant fixed beforehand, whether or not those before it were slow. SIGTERM ends it; the file TALLY then tells how
many writes of each kind were made, in how many seconds.
"""

import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dualwrite.stages import Store
from dualwrite.stores import dedicated
from tests.writing import TABLES, WRITES

START = "import django; django.setup(); from tests.acceptance import load_writer; load_writer.main()"
THREADS = 8
KEYS = 200
#: Kind of write → how often; `move` changes a key. Most writes are of one record, as in the field.
KINDS = {"put": 64, "delete": 16, "move": 10, "recreate": 3, "merge": 3, "savepoint": 2, "copy": 2}
#: Records of a write; the first of a move is the old key, the last the new one.
SYMBOLS = {"put": 1, "delete": 1}


def write_on(store: Store, number: int, rate: float, seed: int, stop: threading.Event) -> Counter[str]:
    """Write until told to stop; how many writes of each kind were made."""
    dice, done, table = random.Random(f"{seed}/{number}"), Counter[str](), TABLES[store]
    with dedicated(store, f"load writer {number}") as session:
        began = time.monotonic()
        while not stop.wait(began + done.total() / rate - time.monotonic()):
            (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
            symbols = [f"W{number}-{key}" for key in dice.sample(range(KEYS), SYMBOLS.get(kind, 2))]
            WRITES[kind](session, table, symbols, f"v{number}-{done.total()}")
            done[kind] += 1
    return done


def main() -> None:
    """Be that program."""
    name, rate, seed, tally = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        futures = [
            pool.submit(write_on, Store(name), number, float(rate) / THREADS, int(seed), stop)
            for number in range(THREADS)
        ]
        try:
            done = sum((future.result() for future in futures), Counter[str]())
        finally:
            stop.set()
    told = {"writes": done.total(), "kinds": done, "seconds": time.monotonic() - began}
    Path(tally).write_text(json.dumps(told))
