"""Preflight of the way back: could the store that takes the writes now follow the other one after a switch?

Seen before it is needed: the rights of the engine's role, columns nothing would fill, and a trial (`trial`) in which
records of the mirror are written as the relay would write them and read back. Nothing is written to any table of the
stores.
"""

from typing import Any

from psycopg import sql

from dualwrite import projection
from dualwrite.capture import script
from dualwrite.control.evidence import Evidence, asking
from dualwrite.control.trial import Failure, Trial
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Side, Stream

LIMITS = "-c lock_timeout=2s -c statement_timeout=60s"


def preflight(stream: Stream, authority: Store) -> Evidence:
    """What stands in the way of the present authority becoming the mirror. Raises StoreUnreachable, StoreFailed."""
    side = stream.side(authority)
    with asking(authority), dedicated(authority, f"way back {stream.name}", limits=LIMITS) as session:
        shape = _shape(session, side)
        # Rights on a column that is not there cannot be asked for, nor can it be tried.
        grants = [] if shape else _missing_grants(session, side)
        facts: dict[str, Any] = {"table": f"{side.schema}.{side.table}", "unique": _texts(session, side, "unique")}
        facts |= {"columns": shape, "missing_grants": grants}
        tried = None if shape else Trial(stream, authority, session).run()
    if tried is not None:
        facts |= {"tried": tried.rows, "not_inverted": [vars(failure) for failure in tried.failures]}
    return Evidence(facts, *_verdict(stream, authority, shape, grants, tried.failures if tried else ()))


def _verdict(
    stream: Stream, store: Store, shape: list[str], grants: list[str], failures: tuple[Failure, ...]
) -> tuple[str, str]:
    """Why the gate is closed and what mends it; the most thorough obstacle first."""
    again = f"then manage.py dualwrite advance --stream {stream.name} --dry-run"
    if shape:
        why = f"the relay could not insert into the {store} store: {'; '.join(shape)}"
        return why, f"change the table, or `writes` of the stream's declaration; {again}"
    if grants:
        why = f"the engine's role may not write to the {store} store what the relay would have to"
        return why, f"let the owner of the tables run {' '.join(grants)} {again}"
    if failures:
        keys = "; ".join(f"{failure.key}: {failure.why}" for failure in failures[:3])
        why = f"records written to the {store} store would not read back as they are: {keys}"
        return why, f"mend the records, or `writes` and `reads` of the stream's declaration; {again}"
    return "", ""


def _shape(session: Session, side: Side) -> list[str]:
    """Columns that stand in the way of every insert."""
    wrong = _rows(session, side, "unwritable")
    unwritten = _texts(session, side, "unwritten")
    return [f"column {n} {what}" for n, what in wrong] + [f"column {n} needs a value and gets none" for n in unwritten]


def _missing_grants(session: Session, side: Side) -> list[str]:
    """What `install` would grant the role of this session."""
    query = script.missing_rights(side, sql.SQL("current_user"))
    return [str(row[0]) for row in session.execute(query).fetchall()]


def _texts(session: Session, side: Side, name: str) -> list[str]:
    return [str(row[0]) for row in _rows(session, side, name)]


def _rows(session: Session, side: Side, name: str) -> list[tuple[Any, ...]]:
    fragments = {"table_name": projection.table_name(side), "written": sql.Literal(list(side.writes))}
    return session.execute(compose("gates", name, **fragments)).fetchall()
