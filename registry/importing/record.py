"""Writes down in the registry what a file held, what became of each of its rows, and that it was imported."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from json.encoder import encode_basestring as quoted
from operator import add
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
    connection = connections[REGISTRY]
    table = connection.ops.quote_name(IngestionScratch._meta.db_table)
    statement = f"COPY {table} (file, line, content, outcome, reason) FROM STDIN"
    name, usual = storable(file), _keys(header, len(header))
    with (
        translated(REGISTRY),
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for row, outcome, reason in counted(fates, steps):
            keys = usual if len(row.fields) <= len(usual) else _keys(header, len(row.fields))
            copy.write_row((name, row.line, _content(keys, row.fields), outcome.value, reason))


def say(actor: str, file: str, done: Mapping[str, Any]) -> None:
    """Say in the audit that a file was imported, and with which result."""
    with translated(REGISTRY):
        audited(actor, "import", "file", storable(file), after=done)


def _keys(header: Sequence[str], columns: int) -> list[str]:
    """The beginnings of JSON members: the name of a column, or its number where it has none of its own."""
    named = {at: name for at, name in enumerate(header) if name and name not in header[:at]}
    return [quoted(named.get(at, str(at + 1))) + ":" for at in range(columns)]


def _content(keys: Sequence[str], fields: Sequence[str]) -> str:
    """The row as a JSON object. Put together by hand: the encoder takes three times as long for so small objects."""
    text = f"{{{','.join(map(add, keys, map(quoted, fields)))}}}"
    if text.isascii() and r"\u0000" not in text:
        return text
    return f"{{{','.join(map(add, keys, map(quoted, map(storable, fields))))}}}"
