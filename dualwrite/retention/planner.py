"""What would go: counted in a transaction that cannot write, by the same statements a run removes by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.utils import timezone
from psycopg import errors

from dualwrite.exceptions import first_line
from dualwrite.models import RetentionRun
from dualwrite.parameters import CLOCK_SKEW_SECONDS, RETENTION_FREE_ROWS
from dualwrite.retention import brakes, holds, schema
from dualwrite.retention.brakes import Clocks
from dualwrite.retention.exceptions import InvalidPolicy
from dualwrite.retention.policy import Policy
from dualwrite.retention.rows import Holds, Rows
from dualwrite.retention.schema import Table
from dualwrite.runs import Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated

EXAMPLES = 10
#: Compiling these statements takes longer than running them. A batch that waited for a hold must see it, whatever
#: isolation the database gives its sessions.
LIMITS = r"-c jit=off -c default_transaction_isolation=read\ committed"


@dataclass(frozen=True)
class Plan:
    """What was found in one moment. `bytes` is the rows' share of the table, dates are text, as a row may
    be of a time that only the server knows; `refused`: what no force gets past."""

    policy: Policy
    table: Table
    holds: Holds
    cutoff: datetime
    rows: int
    old: int
    goes: int
    bytes: int
    oldest: str | None
    newest: str | None
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
            "oldest": self.oldest,
            "newest": self.newest,
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
    clocks = both_clocks(session)
    rows = Rows(policy, table, policy.cutoff(clocks.now))
    total, old, goes, oldest, newest, size = _surveyed(session, rows, held)
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
        refused=brakes.clock(clocks, _last_began(policy), CLOCK_SKEW_SECONDS.value()),
        braked=brakes.share(policy, goes, total, RETENTION_FREE_ROWS.value()),
    )


def both_clocks(session: Session) -> Clocks:
    """The server's clock, and this machine's around it."""
    asked = timezone.now()
    row = session.execute(statement("retention", "clock")).fetchone()
    answered = timezone.now()
    return Clocks(row[0] if row else answered, asked, answered)


def _surveyed(session: Session, rows: Rows, held: Holds) -> tuple[Any, ...]:
    try:
        found = session.execute(rows.compose("survey", held), rows.values(held)).fetchone()
    except errors.DataError as exc:
        raise InvalidPolicy(f"{rows.policy.name}: {first_line(exc)}") from exc
    assert found is not None  # noqa: S101  an aggregate has a row
    return tuple(found)


def _last_began(policy: Policy) -> datetime | None:
    """When the latest run of the policy began, by the registry's clock of then; this one's row is among them."""
    runs = RetentionRun.objects.filter(policy=policy.name)
    found: datetime | None = runs.aggregate(latest=Max("started_at"))["latest"]
    return found
