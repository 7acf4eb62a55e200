"""Writes the rows that were not imported."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from registry.exceptions import ImportOptionError
from registry.importing.layout import Layout
from registry.importing.reading import Rejection


def write(path: Path, layout: Layout, rejections: Iterable[Rejection]) -> None:
    """Write ``line, column, reason`` and the original fields of each rejected row, in the order of the file.

    The file appears whole or not at all. Raises ImportOptionError when it cannot be written.
    """
    if path.exists() and not path.is_file():
        # A finished file is put in the place of an older one; in the place of a device that would be its end.
        raise ImportOptionError(f"{path} is no ordinary file, so rejected rows cannot be written to it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # Bytes that were not UTF-8 go out as they came in.
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("line", "column", "reason", *layout.header))
            for rejection in sorted(rejections, key=lambda r: r.row.line):
                row = rejection.row
                writer.writerow((row.line, rejection.column, rejection.reason, *row.fields))
        partial.replace(path)
    except OSError as exc:
        raise ImportOptionError(f"the rejects file {path} cannot be written ({exc.strerror})") from exc
