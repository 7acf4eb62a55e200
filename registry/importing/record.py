"""Writes down in the registry what a file held, what became of each of its rows, and that it was imported."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from django.db import connections, transaction

from registry.importing.database import REGISTRY, translated
from registry.importing.progress import Steps, counted
from registry.importing.reading import Rejection, Row
from registry.logs import audited, storable
from registry.models import IngestionScratch

Outcome = IngestionScratch.Outcome
Fate: TypeAlias = tuple[Row, Outcome, str | None]
"""A row, what became of it, and why it was rejected."""


@contextmanager
def recording() -> Iterator[None]:
    """The registry's transaction around the one of the store that is imported into.

    The record is written inside of both: where it cannot be, nothing is imported. The store's transaction commits
    first: where it cannot, the record of what did not happen is rolled back.
    """
    with translated(REGISTRY), transaction.atomic(using=REGISTRY):
        yield


def rejected(rejections: Iterable[Rejection]) -> Iterator[Fate]:
    """The fates of rows that were rejected."""
    return ((rejection.row, Outcome.REJECTED, rejection.reason) for rejection in rejections)


def keep(file: str, header: Sequence[str], fates: Iterable[Fate], steps: Steps) -> None:
    """Keep the rows of a file as they were read, one at a time."""
    steps.begin(f"{file}: keeping its rows as they were read")
    names = [name if name and name not in header[:at] else str(at + 1) for at, name in enumerate(header)]
    connection = connections[REGISTRY]
    table = connection.ops.quote_name(IngestionScratch._meta.db_table)
    statement = f"COPY {table} (file, line, content, outcome, reason) FROM STDIN"
    with (
        translated(REGISTRY),
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for row, outcome, reason in counted(fates, steps):
            copy.write_row((storable(file), row.line, _content(names, row.fields), outcome.value, reason))


def say(actor: str, file: str, done: Mapping[str, Any]) -> None:
    """Say in the audit that a file was imported, and with which result."""
    with translated(REGISTRY):
        audited(actor, "import", "file", storable(file), after=done)


def _content(names: Sequence[str], fields: Sequence[str]) -> str:
    """The fields by their columns; by number where the column has no name of its own, or there is none."""
    surplus = (str(at + 1) for at in range(len(names), len(fields)))
    return json.dumps(dict(zip([*names, *surplus], map(storable, fields), strict=False)), ensure_ascii=False)
