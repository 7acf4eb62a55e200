"""Legal holds: what stays whatever a policy says. Added and released by these functions, read in every batch."""

from datetime import datetime

from django.db.models.functions import Now
from django.utils import timezone

from dualwrite import switch
from dualwrite.exceptions import Refused, UnknownName, UsageError
from dualwrite.models import LegalHold
from dualwrite.retention.rows import Holds
from dualwrite.retention.subject import Subject, subject_named
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, reaching
from dualwrite.switch import Actor


def hold(table: str, actor: Actor, name: str = "", value: str = "", until: datetime | None = None) -> LegalHold:
    """Keep the rows of the table that have the value, or all; once it returned nothing of them is removed any more.

    Raises UnknownName for a table or a name, UsageError without a reason or value, StoreUnreachable.
    """
    require_holdable(table, name, value, until)
    if not actor.reason:
        raise UsageError("a hold needs a reason")
    with reaching(Store.REGISTRY):
        held = LegalHold.objects.create(
            table=table, name=name, value=value, reason=actor.reason, by=actor.name, until=until
        )
    switch.audit(Store.REGISTRY, actor, "hold", None, _evidence(held))
    return held


def require_holdable(table: str, name: str, value: str, until: datetime | None) -> None:
    """Raise UnknownName or UsageError where nothing could be held like that."""
    subject = subject_named(table)
    if name and name not in subject.holds:
        raise UnknownName("hold", name, subject.holds)
    if bool(name) != bool(value):
        raise UsageError(f"a hold of {table} names a value of one of: {', '.join(subject.holds)}; or neither")
    if until is not None and until <= timezone.now():
        raise UsageError("a hold that has ended already would keep nothing")


def release(number: int, actor: Actor) -> LegalHold:
    """End a hold; raises UsageError where there is none or a reason lacks, Refused where it has ended."""
    if not actor.reason:
        raise UsageError("releasing a hold needs a reason")
    with reaching(Store.REGISTRY):
        found = LegalHold.objects.filter(pk=number)
        if not found.exists():
            raise UsageError(f"there is no hold {number}")
        values = {"released_at": Now(), "released_by": actor.name, "released_because": actor.reason}
        if not found.filter(released_at=None).update(**values):
            raise Refused(f"hold {number} was released already")
        held = found.get()
    switch.audit(Store.REGISTRY, actor, "release hold", None, _evidence(held))
    return held


def _evidence(held: LegalHold) -> dict[str, object]:
    return {"hold": held.pk, "table": held.table, "name": held.name, "value": held.value}


def read(session: Session, subject: Subject) -> Holds:
    """What is held now. A hold that names what the table no longer declares keeps all of it: nobody can tell which."""
    rows = session.execute(statement("retention", "holds"), {"subject": subject.name}).fetchall()
    values: dict[str, list[str]] = {}
    for name, value in rows:
        values.setdefault(str(name), []).append(str(value))
    everything = any(name not in subject.holds for name in values)
    return Holds(everything, {name: held for name, held in values.items() if name in subject.holds})
