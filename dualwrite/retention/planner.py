"""What would go: counted in a transaction that cannot write, by the same statements a run removes by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from dualwrite.models import RetentionRun
from dualwrite.parameters import CLOCK_SKEW_SECONDS, RETENTION_FREE_ROWS
from dualwrite.retention import brakes, holds, schema
from dualwrite.retention.policy import Policy
from dualwrite.retention.rows import Holds, Rows
from dualwrite.retention.schema import Table
from dualwrite.runs import Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated

EXAMPLES = 10
#: Compiling these statements takes longer than running them.
LIMITS = "-c jit=off"


@dataclass(frozen=True)
class Plan:
    """What was found in one moment. `bytes` is the rows' share of the table; `refused`: what no force gets past."""

    policy: Policy
    table: Table
    holds: Holds
    cutoff: datetime
    rows: int
    old: int
    goes: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    examples: tuple[tuple[str, str], ...]
    refused: str
    braked: str

    @property
    def held(self) -> int:
        """Rows that are old enough and stay: held, or waiting to be relayed."""
        return self.old - self.goes

    def as_data(self) -> dict[str, Any]:
        """As a run keeps it."""
        return {
            "rows": self.goes,
            "of": self.rows,
            "kept_back": self.held,
            "bytes": self.bytes,
            "oldest": self.oldest and self.oldest.isoformat(),
            "newest": self.newest and self.newest.isoformat(),
            "examples": [{"key": key, "date": date} for key, date in self.examples],
            "holds": self.holds.as_data(),
            "referrers": [f"{r.table} ({r.name})" for r in self.table.referrers],
            "refused": self.refused,
            "braked": self.braked,
        }


def make(policy: Policy, watch: Watch) -> Plan:
    """Plan the policy as of now; raises InvalidPolicy, Refused, StoreUnreachable, and Cancelled by the watch."""
    watch.phase("planning", None)
    with (
        dedicated(Store.REGISTRY, "retention plan", limits=LIMITS) as session,
        watch.session(session),
        _one_moment(session),
    ):
        table = schema.read(session, policy.subject)
        schema.require_possible(session, policy, table)
        return _survey(session, policy, table)


@contextmanager
def _one_moment(session: Session) -> Iterator[None]:
    session.execute(statement("retention", "begin_reading"))
    try:
        yield
    finally:
        if not session.closed and not session.broken:
            session.rollback()


def _survey(session: Session, policy: Policy, table: Table) -> Plan:
    held = holds.read(session, policy.subject)
    asked = timezone.now()
    row = session.execute("SELECT clock_timestamp()").fetchone()
    answered = timezone.now()
    now: datetime = row[0] if row else answered
    rows = Rows(policy, table, policy.cutoff(now))
    found = session.execute(rows.compose("survey", held), rows.values(held)).fetchone()
    assert found is not None  # noqa: S101  an aggregate has a row
    _, total, old, goes, oldest, newest, size, _ = found
    told = brakes.Found(total, goes, now, asked, answered, _last_began(policy))
    limits = brakes.Limits(RETENTION_FREE_ROWS.value(), CLOCK_SKEW_SECONDS.value())
    listed = session.execute(rows.compose("examples", held), rows.values(held, limit=EXAMPLES)).fetchall()
    return Plan(
        policy=policy,
        table=table,
        holds=held,
        cutoff=rows.cutoff,
        rows=total,
        old=old,
        goes=goes,
        bytes=round(size * goes / total) if total else 0,
        oldest=oldest,
        newest=newest,
        examples=tuple((str(key), str(date)) for key, date in listed),
        refused=brakes.clock(told, limits),
        braked=brakes.share(policy, told, limits),
    )


def _last_began(policy: Policy) -> datetime | None:
    runs = RetentionRun.objects.filter(policy=policy.name, dry_run=False).order_by("-id")
    return runs.values_list("started_at", flat=True).first()
