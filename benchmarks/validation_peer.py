"""The peer reladiff, in an environment of its own; its tables and views; its runs.

Tables whose integer ids are the same on both sides are a gift to it: those of two systems are not.
"""

import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path

from psycopg import sql

from benchmarks.errors import BenchError
from benchmarks.harness import Sample
from benchmarks.validation_rows import INDICES, Memberships, canonical
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.validation.verdict import Kind

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements-peer.txt"
PLACE = ROOT / "var" / "peers" / "reladiff"
RUNS = Path(__file__).with_name("validation_reladiff.toml")
KEYS = {"ids": ("id",), "natural_key": ("instrument_key", "index_id")}
FIELDS = ("weight", "sector", "date_added")
#: Sorting its result it fails as soon as a difference touches a row with NULL. Two threads, as there are two cores.
OPTIONS = ("--skip-sort-results", "-j", "2")
LONGEST_SECONDS = 900
#: No long waiting for a network that is not there.
PIP = ("install", "-q", "--require-hashes", "--only-binary", ":all:", "--retries", "1", "--timeout", "30")
#: A colon in a key is more than it takes.
_VIEW = (
    "CREATE VIEW public.bench_records AS SELECT replace(instrument_key, ':', '-') AS instrument_key, {} FROM ({}) AS r"
)
_NUMBER = sql.SQL("substr(instrument_key, 6)::bigint * {} + substr(index_id, 7)::bigint").format(sql.Literal(INDICES))
_NUMBERED = (
    "DROP TABLE IF EXISTS public.bench_numbered;"
    "CREATE TABLE public.bench_numbered AS SELECT {} AS id, weight, sector, date_added FROM ({}) AS r;"
    "ALTER TABLE public.bench_numbered ADD PRIMARY KEY (id);"
    "VACUUM ANALYZE public.bench_numbered"
)
#: Which of the two lines of a difference each kind has.
_LINES: Mapping[Kind, str] = {Kind.MISMATCH: "-+", Kind.MISSING: "-", Kind.EXTRA: "+"}


def installed(say: Callable[[str], None], place: Path = PLACE, lock: Path = LOCK) -> Path | None:
    """Its Python, installed on first use; None, once that was said, where it cannot be."""
    python, stamp = place / "bin" / "python", place / "installed"
    wanted = sha256(f"{sys.version_info[:2]}\n{lock.read_text()}".encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and os.access(python, os.X_OK):
        return python
    say("installing reladiff in an environment of its own (once)")
    stamp.unlink(missing_ok=True)
    venv.create(place, with_pip=True, clear=True)
    pip = subprocess.run([python, "-m", "pip", *PIP, "-r", lock], capture_output=True, text=True, check=False)
    if pip.returncode:
        lines = pip.stderr.strip().splitlines()
        say(f"reladiff could not be installed, so what is held against it is left out: {lines[-1] if lines else 'pip'}")
        return None
    stamp.write_text(wanted)
    return python


def make_tables(members: Memberships) -> None:
    """Its view of both stores, and tables with numbers of their own in place of the keys."""
    fields = sql.SQL(", ").join(map(sql.Identifier, ("index_id", *FIELDS)))
    for store in Store:
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(sql.SQL(_VIEW).format(fields, canonical(members.stream, store)))
        make_numbered(members, store)


def make_numbered(members: Memberships, store: Store) -> None:
    """That table as the store now is."""
    with dedicated(store, "benchmark", owner=True) as session:
        for text in _NUMBERED.split(";"):
            session.execute(sql.SQL(text).format(_NUMBER, canonical(members.stream, store)))


def compare(python: Path, run: str, planted: Mapping[Kind, Collection[int]]) -> Sample:
    """One of its runs, interpreter and all; raises BenchError when it does not find exactly what was planted."""
    named = [part for column in KEYS[run] for part in ("-k", column)] + [part for c in FIELDS for part in ("-c", c)]
    command = [str(python), "-m", "reladiff", "--conf", str(RUNS), "--run", run, *named, *OPTIONS]
    environment, began = os.environ | _addresses(), time.perf_counter()
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as exc:
        raise BenchError(f"reladiff takes more than {LONGEST_SECONDS} s for {run}") from exc
    seconds = time.perf_counter() - began
    # It ends with exit code 0 whatever happens, and without a line when it finds nothing.
    if done.returncode or "ERROR" in done.stderr:
        raise BenchError(f"reladiff, {run}: {(done.stderr.strip() or 'no word').splitlines()[-1]}")
    found = {(line[0], line[1:].split(",")[0].strip()) for line in done.stdout.splitlines() if line}
    expected = {(sign, str(number)) for kind, numbers in planted.items() for number in numbers for sign in _LINES[kind]}
    if found != expected:
        raise BenchError(f"reladiff, {run}: {len(found)} lines of differences, {len(found ^ expected)} of them wrong")
    return Sample(seconds)


def _addresses() -> dict[str, str]:
    found: dict[str, str] = {}
    for store, name in ((Store.SCREENER, "OLD"), (Store.REGISTRY, "NEW")):
        with dedicated(store, "benchmark") as session:
            info = session.info
            parts = {"HOST": info.host, "PORT": str(info.port), "DATABASE": info.dbname, "USER": info.user}
            found |= {f"BENCH_{name}_{part}": text for part, text in (parts | {"PASSWORD": info.password}).items()}
    return found
