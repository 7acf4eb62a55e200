"""How long a write waits to be in the mirror: single rows updated at a steady rate, relayed by a process of its own.

Each write carries the moment it was made. A trigger of the benchmark's own table in the mirror, which fires when the
relay's transaction commits, takes the difference; both servers are on one machine, so their clocks agree.
"""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier

from django.db import connections

from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Round, Sample
from benchmarks.members import MIRROR_FACTOR, Members
from dualwrite.control.relaying import relaying
from dualwrite.relay.worker import IDLE_POLL_SECONDS
from dualwrite.stages import Store
from dualwrite.stores import dedicated

WRITES_PER_SECOND = 1_000
PROCESSES = 4
#: Polling intervals of a relay that has nothing to do.
LAG = Goal(4.0)
RATE = Goal(0.98, at_least=True)
PATIENCE_SECONDS = 60.0

MEASURE = """
CREATE TABLE public.bench_lag (seconds double precision NOT NULL);
CREATE FUNCTION public.bench_took_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.bench_lag VALUES (mod(extract(epoch FROM clock_timestamp()), 100000) - NEW.weight);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bench_took AFTER UPDATE ON public.bench_members DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.bench_took_v1();
"""
WRITE = """
UPDATE public.bench_members SET weight = mod(extract(epoch FROM clock_timestamp()), 100000)::numeric(12,6)
 WHERE instrument_key = %s AND index_id = %s
"""


def group(members: Members) -> Group:
    """The p99 of the lag in polling intervals, and the share of the rate that the writers kept."""
    seconds = min(max(members.rows / 1_000, 2.0), 10.0)
    cases = {"lag_p99": lambda: _lag(members, seconds), "lag_writes": lambda: Sample(_kept[-1])}

    def intervals(found: Round) -> float:
        return found["lag_p99"].seconds / IDLE_POLL_SECONDS

    ratios = [
        Ratio("lag_p99_in_polling_intervals", intervals, LAG),
        Ratio("lag_rate_kept", lambda found: seconds / found["lag_writes"].seconds, RATE),
    ]
    return Group(1, cases, ratios)


#: The seconds that the writers of the last run took for what was to take `seconds`.
_kept: list[float] = []


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; of no values 0."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def _lag(members: Members, seconds: float) -> Sample:
    members.tidy()
    with dedicated(Store.REGISTRY, "benchmark", owner=True) as session:
        session.execute(MEASURE)
        relay = subprocess.Popen([sys.executable, "-m", "benchmarks.drain", members.stream.name, "--go-on"])
        try:
            _until_it_relays(members)
            _kept.append(_write(members, seconds))
            _until_relayed()
        finally:
            relay.terminate()
            relay.wait()
        found = [float(row[0]) for row in session.execute("SELECT seconds FROM public.bench_lag")]
        session.execute("DROP TRIGGER bench_took ON public.bench_members; DROP TABLE public.bench_lag")
    return Sample(percentile(found, 0.99))


def _write(members: Members, seconds: float) -> float:
    """Write at the rate for so long; returns the seconds from the first to the last write."""
    connections.close_all()  # a forked process must not share a connection
    context = multiprocessing.get_context("fork")
    start = context.Barrier(PROCESSES + 1)
    writers = [
        context.Process(target=_writer, args=(members, number, seconds, start), daemon=True)
        for number in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    start.wait(PATIENCE_SECONDS)
    began = time.monotonic()
    for writer in writers:
        writer.join()
    if any(writer.exitcode for writer in writers):
        raise BenchError("a writer failed; its error is above")
    return time.monotonic() - began


def _writer(members: Members, number: int, seconds: float, start: Barrier) -> None:
    """Every PROCESSES-th row in turn, each write when it is due, or at once where it is late."""
    rows, writes = members.rows * MIRROR_FACTOR, int(seconds * WRITES_PER_SECOND / PROCESSES)
    pause = threading.Event()
    with dedicated(Store.SCREENER, "benchmark") as session:
        start.wait(PATIENCE_SECONDS)
        began = time.monotonic()
        for turn in range(writes):
            pause.wait(max(began + turn * PROCESSES / WRITES_PER_SECOND - time.monotonic(), 0))
            row = (turn * PROCESSES + number) % rows + 1
            session.execute(WRITE, (f"NSE:S{row // 200}", f"INDEX {row % 200}"))


def _until_it_relays(members: Members) -> None:
    """Starting takes a process longer than anything that is measured here."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while relaying(members.stream, Store.SCREENER).why:
        if time.monotonic() > deadline:
            raise BenchError(f"no relay within {PATIENCE_SECONDS:g} s")
        threading.Event().wait(0.05)
    connections.close_all()


def _until_relayed() -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with dedicated(Store.SCREENER, "benchmark") as session:
        while time.monotonic() < deadline:
            row = session.execute("SELECT count(*) FROM dualwrite.outbox").fetchone()
            if row == (0,):
                return
            threading.Event().wait(0.05)
    raise BenchError(f"the relay did not catch up within {PATIENCE_SECONDS:g} s")
