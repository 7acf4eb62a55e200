"""Domain rules: what a stream says must be true of the registry's records by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg.abc import Query

from dualwrite.exceptions import StoreFailed
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Rule, Stream

#: Exceptions kept of each rule; the count is true.
KEPT = 20
FETCH = 1_000


@dataclass(frozen=True)
class Finding:
    """What a rule found: how many exceptions, and the first of them as (what it is about, what is wrong)."""

    rule: str
    meaning: str
    count: int
    first: tuple[tuple[str, str], ...]


def findings(stream: Stream) -> list[Finding]:
    """What the stream's rules find in the registry, all in one snapshot; a rule that holds gives nothing.

    Raises StoreUnreachable, and StoreFailed naming the rule that could not be looked at.
    """
    return list(_findings(stream)) if stream.rules else []


def _findings(stream: Stream) -> Iterator[Finding]:
    store = Store.REGISTRY
    with reaching(store), dedicated(store, f"validation {stream.name} rules") as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for rule in stream.rules:
            found = _look(session, stream, rule)
            if found.count:
                yield found


def _look(session: Session, stream: Stream, rule: Rule) -> Finding:
    values = {name: value() for name, value in rule.values.items()}
    count, first = 0, []
    try:
        with session.cursor(name="rule") as cursor:
            cursor.itersize = FETCH
            for about, wrong in cursor.execute(cast(Query, rule.query), values):
                count += 1
                if count <= KEPT:
                    first.append((str(about), str(wrong)))
    except psycopg.Error as exc:
        raise StoreFailed(f"rule {rule.name} of stream {stream.name}: {exc.diag.message_primary or exc}") from exc
    return Finding(rule.name, rule.meaning, count, tuple(first))
