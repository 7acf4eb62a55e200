"""The limit of any comparison that reads both stores: their records copied out to nowhere, both at once."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from psycopg import sql

from benchmarks.errors import BenchError
from benchmarks.harness import Sample
from benchmarks.validation_rows import canonical
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream

#: As the digests are made: by one process for each store, and nothing compiled first.
_SETTINGS = "SET jit = off; SET max_parallel_workers_per_gather = 0"
_MAY_WRITE = (
    "SELECT bool_and(pg_has_role('pg_write_server_files', 'MEMBER') OR rolsuper) FROM pg_roles"
    " WHERE rolname = current_user"
)


def chosen(stream: Stream) -> tuple[str, Callable[[], Sample]]:
    """How it is done, and the case: by the servers themselves where their accounts may, else by psql."""
    if all(_may_write(store) for store in Store):
        return "COPY TO '/dev/null' by the servers", partial(_at_once, partial(_on_server, stream))
    if not shutil.which("psql"):
        raise BenchError("neither may the accounts COPY to a file of the server, nor is there a psql on the PATH")
    return "COPY TO STDOUT by psql, thrown away", partial(_at_once, partial(_by_psql, stream))


def _may_write(store: Store) -> bool:
    with dedicated(store, "benchmark") as session:
        row = session.execute(_MAY_WRITE).fetchone()
        return bool(row and row[0])


def _at_once(copy: Callable[[Store], None]) -> Sample:
    began = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        list(pool.map(copy, Store))
    return Sample(time.perf_counter() - began)


def _on_server(stream: Stream, store: Store) -> None:
    with dedicated(store, "benchmark") as session:
        session.execute(_SETTINGS)
        session.execute(sql.SQL("COPY ({}) TO '/dev/null'").format(canonical(stream, store)))


def _by_psql(stream: Stream, store: Store) -> None:
    with dedicated(store, "benchmark") as session:
        copy = sql.SQL("COPY ({}) TO STDOUT").format(canonical(stream, store)).as_string(session)
        command = ["psql", "-qXv", "ON_ERROR_STOP=1", "-c", _SETTINGS, "-c", copy]
        environment = os.environ | _address(session)
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise BenchError(f"psql ended with exit code {done.returncode}")


def _address(session: Session) -> dict[str, str]:
    info = session.info
    found = {"PGHOST": info.host, "PGPORT": str(info.port), "PGDATABASE": info.dbname, "PGUSER": info.user}
    return found | {"PGPASSWORD": info.password}
