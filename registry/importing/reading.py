"""Reads a CSV file row by row, remembering where each row began."""

import csv
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry.exceptions import ImportFileError
from registry.importing.layout import Layout, recognise

if TYPE_CHECKING:
    from _csv import Reader


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the line it begins on (the header is line 1), its fields as they were, its values by field."""

    line: int
    fields: tuple[str, ...]
    values: Mapping[str, str]

    def value(self, field: str) -> str:
        """The field without surrounding blanks; ``''`` when the file does not have it."""
        return self.values.get(field, "")


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not imported: the column at fault (``''``: the whole row) and why."""

    row: Row
    column: str
    reason: str


@contextmanager
def opened(path: Path, given: Mapping[str, str], index: str | None) -> Iterator[tuple[Layout, Iterator[Row]]]:
    """The layout and the rows of a file, read as they are asked for.

    Raises ImportFileError when it is missing, no regular file, unreadable, empty, not UTF-8 or not CSV.
    """
    try:
        _require_regular(path)
        # Bytes that are not UTF-8 survive as surrogates, so that one bad row does not cost the others.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            layout = recognise(_header(reader, path), given, index)
            yield layout, _rows(reader, layout, path)
    except FileNotFoundError as exc:
        raise ImportFileError(f"{path} does not exist") from exc
    except OSError as exc:
        raise ImportFileError(f"{path} cannot be read ({exc.strerror})") from exc


def _require_regular(path: Path) -> None:
    """Opening a pipe waits until somebody writes to it; a device may never end."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return
    kind = "directory" if stat.S_ISDIR(mode) else "pipe" if stat.S_ISFIFO(mode) else "device or socket"
    raise ImportFileError(f"{path} is a {kind}, a CSV file is wanted")


def problem(row: Row, layout: Layout) -> Rejection | None:
    """What makes a row unreadable whatever it says: its number of columns, its encoding, its characters."""
    if len(row.fields) != len(layout.header):
        return Rejection(row, "", f"wrong number of columns: {len(row.fields)} instead of {len(layout.header)}")
    for column, text in zip(layout.header, row.fields, strict=True):
        if not _is_utf8(text):
            return Rejection(row, column, "bad encoding: not UTF-8")
        if any(unicodedata.category(c) == "Cc" for c in text):
            return Rejection(row, column, "control character")
    return None


def _header(reader: "Reader", path: Path) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as exc:
        raise ImportFileError(f"{path} is not CSV ({exc})") from exc
    if not header:
        raise ImportFileError(f"{path} is empty, a first line with column names is wanted")
    if not all(_is_utf8(name) and "\0" not in name for name in header):
        raise ImportFileError(f"{path} is not UTF-8 text")
    return header


def _rows(reader: "Reader", layout: Layout, path: Path) -> Iterator[Row]:
    line = reader.line_num + 1
    try:
        for fields in reader:
            # The reader gives [] for an empty line, which is no row.
            if fields:
                yield Row(line, tuple(fields), _values(fields, layout))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise ImportFileError(f"{path} is not CSV from line {line} on ({exc})") from exc


def _values(fields: list[str], layout: Layout) -> dict[str, str]:
    return {field: fields[at].strip() for field, at in layout.positions.items() if at < len(fields)}


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
