"""Old rows of the business audit removed with a verified backup, beside what could not be done without, and a peer.

Half of the rows are old. *ours* is a run of the policy: planned, exported, flushed, read back, tried, removed in
batches, reconciled. The *limit* writes one COPY to a zstd file that nobody flushes or reads, and deletes in one
statement of the same transaction. *orm* is `queryset.delete()` with a signal connected, which takes no backup, on a
part of the rows (it loads every row); *orm_fast* is the same without a signal, one DELETE. After each case what it
removed is put back.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import zstandard
from django.conf import settings
from django.db.models.signals import pre_delete
from django.utils import timezone

from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Sample, peak_spread, quotient
from dualwrite.models import RetentionPolicy
from dualwrite.retention.approval import approve
from dualwrite.retention.run import Order, run
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.switch import Actor
from registry.models import AuditLog

ROUNDS = 5
BENCH = Actor("bench", "measuring")
POLICY = "bench"
#: The peer that loads every row gets one of so many, and its seconds are taken times as many.
ORM_SHARE = 10
FILL = """
INSERT INTO audit_log (at, actor, action, object_type, object_key, before, after, request_id)
SELECT now() - make_interval(days => CASE WHEN g <= %(old)s THEN 800 ELSE 10 END, secs => g / 1000.0),
       'user' || g %% 97, (ARRAY['create', 'update', 'delete'])[1 + g %% 3], 'membership',
       '["NSE:S' || g || '","NIFTY 50"]',
       CASE WHEN g %% 3 > 0 THEN jsonb_build_object('weight', round(g %% 100 / 7.0, 6), 'sector', 'Energy') END,
       jsonb_build_object('weight', round(g %% 100 / 3.0, 6), 'sector', 'Energy'), md5(g::text)
  FROM generate_series(1, %(rows)s) AS g
"""
COPY = "COPY (SELECT * FROM audit_log WHERE at < now() - interval '365 days') TO STDOUT"
DELETE = "DELETE FROM audit_log WHERE at < now() - interval '365 days'"


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Iterable[Group]]:
    """One group for the time, one for the memory at a quarter of the rows, at all, and at four times as many."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dedicated(Store.REGISTRY, "benchmark", owner=True) as session,
    ):
        settings.BACKUP_STORAGE_URL = folder
        RetentionPolicy.objects.create(
            name=POLICY, table="audit_log", action="delete", date="at", max_rows=10**12, max_percent=100
        )
        _approve(session)
        yield _groups(session, rows, Path(folder), say)


def _approve(session: Session) -> None:
    run(POLICY, Order(BENCH))
    approve(POLICY, BENCH)


def _groups(session: Session, rows: int, folder: Path, say: Callable[[str], None]) -> Iterator[Group]:
    say("filling the audit")
    _fill(session, rows)
    cases = {
        "ours": lambda: _case(session, rows, _ours),
        "limit": lambda: _case(session, rows, lambda: _limit(session, folder)),
        "orm": lambda: _orm(session, rows),
        "orm_fast": lambda: _case(session, rows, _orm_fast),
    }
    ratios = [
        Ratio("ours_over_limit", quotient("ours", "limit"), Goal(1.6)),
        Ratio("orm_with_signal_over_ours", quotient("orm", "ours"), Goal(8.0, at_least=True)),
        Ratio("orm_fast_over_ours", quotient("orm_fast", "ours"), Goal(0.0, at_least=True)),
    ]
    yield Group(ROUNDS, cases, ratios)
    sizes = {f"memory_{size}": size for size in (rows // 4, rows, rows * 4)}
    measured = {name: (lambda size=size: _memory(session, size, folder)) for name, size in sizes.items()}
    yield Group(1, measured, [Ratio("peak_memory_spread", peak_spread, Goal(1.2))])


def _fill(session: Session, rows: int) -> None:
    session.execute("TRUNCATE audit_log")
    session.execute(FILL.encode(), {"old": rows // 2, "rows": rows})
    session.execute("VACUUM (ANALYZE) audit_log")


def _case(session: Session, rows: int, work: Callable[[], object]) -> Sample:
    """The seconds of the work on a table as it was filled."""
    _fill(session, rows)
    session.execute("CHECKPOINT")
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    left = session.execute("SELECT count(*) FROM audit_log").fetchone()
    if left is None or left[0] != rows - rows // 2:
        raise BenchError(f"{left} rows are left of {rows}")
    return Sample(seconds)


def _ours() -> None:
    made = run(POLICY, Order(BENCH, execute=True))
    if made.status != "complete":
        raise BenchError(f"the run is {made.status}: {made.error}")


def _limit(session: Session, folder: Path) -> None:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    with (folder / "limit.zst").open("wb") as file, session.transaction():
        with session.cursor().copy(COPY.encode()) as copy:
            gathered: list[bytes] = []
            for row in copy:
                gathered.append(bytes(row))
                if len(gathered) == 1_000:
                    file.write(compressor.compress(b"".join(gathered)))
                    gathered = []
            file.write(compressor.compress(b"".join(gathered)))
        file.write(compressor.flush())
        session.execute(DELETE.encode())


def _orm(session: Session, rows: int) -> Sample:
    """`queryset.delete()` with a signal: a part of the rows, its seconds for all of them."""

    def heard(**_: object) -> None:
        """What an application connects."""

    pre_delete.connect(heard, sender=AuditLog)
    try:
        part = _case(session, rows // ORM_SHARE, _orm_fast)
    finally:
        pre_delete.disconnect(heard, sender=AuditLog)
    return Sample(part.seconds * ORM_SHARE)


def _orm_fast() -> None:
    AuditLog.objects.filter(at__lt=timezone.now() - timedelta(days=365)).delete()


def _memory(session: Session, rows: int, folder: Path) -> Sample:
    """The peak of a process of its own that removes half of so many rows."""
    _fill(session, rows)
    began = time.perf_counter()
    code = (
        "import django; django.setup(); import resource, sys; from django.conf import settings;"
        "settings.BACKUP_STORAGE_URL = sys.argv[1]; from benchmarks.retention import _ours; _ours();"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr.strip().splitlines()[-1])
    return Sample(time.perf_counter() - began, int(done.stdout) * 1024)
