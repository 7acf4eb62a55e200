"""A table that may be trimmed: declared once, in the `retention.py` of the application that owns it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.module_loading import autodiscover_modules

from dualwrite.exceptions import UnknownName
from dualwrite.models import RetentionPolicy
from dualwrite.parameters import DEFAULT_RETENTION_DAYS, Parameter
from dualwrite.retention.exceptions import InvalidSubject

Action = RetentionPolicy.Action


@dataclass(frozen=True)
class Subject:
    """A table of the registry and what a policy may say of it. Expressions are SQL over its row `t`, from code only.

    dates: name → expression of type timestamptz that tells how old a row is; NULL: it stays.
    filters: columns that conditions of a policy may name.
    holds: name → text expression; what a legal hold may name, e.g. the instrument a row is about.
    actions: what may be done with old rows. `archive`: the table of the same schema that takes them, which has all
        columns and `archived_by` for the run. `inactive`: the boolean column that is set to false.
    period: the live parameter with the days; `minimum_days`: nothing shortens it below.
    stream: the stream whose table it is: rows then go only where the registry takes the writes.
    cascades: tables whose rows may go along by a foreign key with a cascade.

    Raises InvalidSubject.
    """

    name: str
    schema: str
    table: str
    dates: Mapping[str, str]
    filters: tuple[str, ...] = ()
    holds: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[Action, ...] = (Action.DELETE,)
    archive: str = ""
    inactive: str = ""
    period: Parameter[int] = DEFAULT_RETENTION_DAYS
    minimum_days: int = 1
    stream: str = ""
    cascades: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.dates or not self.actions:
            raise InvalidSubject(f"{self.name} needs a date and an action")
        if (Action.ARCHIVE in self.actions) != bool(self.archive):
            raise InvalidSubject(f"{self.name}: an archive goes with the action archive")
        if (Action.MARK_INACTIVE in self.actions) != bool(self.inactive):
            raise InvalidSubject(f"{self.name}: a column for what is inactive goes with the action mark_inactive")


_subjects: dict[str, Subject] = {}


def declare(subject: Subject) -> Subject:
    """Register a table; raises InvalidSubject when another one has its name."""
    if _subjects.get(subject.name, subject) != subject:
        raise InvalidSubject(f"two tables are called {subject.name}")
    _subjects[subject.name] = subject
    return subject


def discover() -> None:
    """Import the `retention` module of every installed application."""
    autodiscover_modules("retention")


def all_subjects() -> tuple[Subject, ...]:
    """Every declared table, by name."""
    return tuple(_subjects[name] for name in sorted(_subjects))


def subject_named(name: str) -> Subject:
    """The table of that name; raises UnknownName listing the valid ones."""
    try:
        return _subjects[name]
    except KeyError as exc:
        raise UnknownName("table", name, _subjects) from exc
