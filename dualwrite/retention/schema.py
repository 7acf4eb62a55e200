"""A declared table as the catalog has it now, and whether it can be trimmed as a policy says."""

import hashlib
import json
from dataclasses import dataclass

from dualwrite import switch
from dualwrite.exceptions import Refused
from dualwrite.retention.exceptions import InvalidPolicy
from dualwrite.retention.policy import Policy
from dualwrite.retention.subject import Action, Subject
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import stream_named

#: Types whose values have an order and a least one on every server from 15 on.
KEYS = ("bigint", "integer", "smallint", "text", "character varying")
#: What becomes of rows that refer to a deleted one, where that is more than a refusal.
REACHES = {"c": "deletes", "n": "changes", "d": "changes"}


@dataclass(frozen=True)
class Referrer:
    """A foreign key to the table; `effect` is empty where the server refuses the delete."""

    table: str
    name: str
    effect: str


@dataclass(frozen=True)
class Table:
    """Columns with their types in order, the key column, and who refers to it."""

    types: dict[str, str]
    key: str
    referrers: tuple[Referrer, ...]

    @property
    def hash(self) -> str:
        """Tells whether rows exported before are still rows of this table; a hexadecimal digest."""
        return hashlib.sha256(json.dumps([list(self.types.items()), self.key]).encode()).hexdigest()


def read(session: Session, subject: Subject) -> Table:
    """The table now; raises InvalidPolicy where there is none, or it has no key of one column that can be ordered."""
    name = f'"{subject.schema}"."{subject.table}"'
    types = _types(session, name)
    if not types:
        raise InvalidPolicy(f"there is no table {subject.schema}.{subject.table}")
    found = session.execute(statement("retention", "key"), {"table": name}).fetchone()
    key = str(found[0]) if found else ""
    if not types.get(key, "").startswith(KEYS):
        raise InvalidPolicy(f"{subject.name} needs a primary key of one column of type {', '.join(KEYS)}")
    rows = session.execute(statement("retention", "referrers"), {"table": name}).fetchall()
    return Table(types, key, tuple(Referrer(table, name, REACHES.get(kind, "")) for table, name, kind in rows))


def _types(session: Session, table: str) -> dict[str, str]:
    rows = session.execute(statement("retention", "columns"), {"table": table}).fetchall()
    return {str(name): str(type_) for name, type_ in rows}


def require_possible(session: Session, policy: Policy, table: Table) -> None:
    """Raise InvalidPolicy or Refused where the policy cannot be carried out on the table as it is."""
    subject = policy.subject
    require_no_reach(policy, table)
    if policy.action is Action.ARCHIVE:
        _require_archive(session, subject, table)
    if subject.inactive and policy.action is Action.MARK_INACTIVE and subject.inactive not in table.types:
        raise InvalidPolicy(f"{subject.name} has no column {subject.inactive}")
    if subject.stream:
        _require_authority(subject)


def require_no_reach(policy: Policy, table: Table) -> None:
    """Raise Refused where removing rows changes those of another table, and no declaration says that it may."""
    if policy.action is Action.MARK_INACTIVE:
        return
    reaching = [r for r in table.referrers if r.effect and r.table not in policy.subject.cascades]
    if reaching:
        first = reaching[0]
        raise Refused(
            f"{policy.name}: removing rows of {policy.subject.name} {first.effect} rows of {first.table} by its "
            f"foreign key {first.name}, and no declaration says that this is meant"
        )


def _require_archive(session: Session, subject: Subject, table: Table) -> None:
    archive = _types(session, f'"{subject.schema}"."{subject.archive}"')
    missing = [name for name, type_ in (*table.types.items(), ("archived_by", "bigint")) if archive.get(name) != type_]
    if missing:
        raise InvalidPolicy(
            f"{subject.archive} lacks what {subject.name} has, or has it otherwise: {', '.join(missing)}"
        )


def _require_authority(subject: Subject) -> None:
    authority = switch.authority(stream_named(subject.stream)).store
    if authority is not Store.REGISTRY:
        raise Refused(
            f"the {authority} store takes the writes of stream {subject.stream}, so its rows are not this service's to "
            "remove; they follow that store"
        )
