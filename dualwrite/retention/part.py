"""A part of a backup: rows as lines of text, compressed, hashed twice: as they were sent, and as they are stored.

A line is a row: in the server's text format a line break inside a value is written as `\\n`.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import zstandard

from dualwrite.retention.exceptions import BackupUnusable

LEVEL = 3
#: How the server writes what would end a value or a line.
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Part:
    """What is known of a stored part. `content`: of the lines, `sha256`: of the file; both hexadecimal."""

    file: str
    rows: int
    bytes: int
    sha256: str
    content: str


class PartWriter:
    """Takes rows, writes them compressed. `part` tells what became of them, once it is closed."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._content, self._stored = hashlib.sha256(), hashlib.sha256()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self.rows = self._bytes = 0

    def add(self, text: bytes, rows: int) -> None:
        """Write this text of so many rows; raises OSError."""
        self._content.update(text)
        self._write(self._compressor.compress(text))
        self.rows += rows

    def close(self) -> Part:
        """No more rows come."""
        self._write(self._compressor.flush())
        return Part(self._name, self.rows, self._bytes, self._stored.hexdigest(), self._content.hexdigest())

    def _write(self, data: bytes) -> None:
        if data:
            self._stored.update(data)
            self._bytes += self._file.write(data)


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """The part's text in pieces; raises BackupUnusable where it is cut off or was damaged."""
    expanding = zstandard.ZstdDecompressor().decompressobj()
    try:
        while data := file.read(CHUNK):
            yield expanding.decompress(data)
    except zstandard.ZstdError as exc:
        raise BackupUnusable(f"it cannot be expanded: {exc}") from exc
    if not expanding.eof:
        raise BackupUnusable("it ends before its end")


def check(file: IO[bytes], part: Part) -> None:
    """Read a stored part to its end; raises BackupUnusable saying how it differs from what was written."""
    stored, content, size, rows = hashlib.sha256(), hashlib.sha256(), 0, 0
    expanding = zstandard.ZstdDecompressor().decompressobj()
    try:
        while data := file.read(CHUNK):
            size += len(data)
            stored.update(data)
            text = expanding.decompress(data)
            content.update(text)
            rows += text.count(b"\n")
    except zstandard.ZstdError as exc:
        raise BackupUnusable(f"{part.file} cannot be expanded: {exc}") from exc
    if size != part.bytes:
        raise BackupUnusable(f"{part.file} has {size} bytes, and {part.bytes} were written")
    if stored.hexdigest() != part.sha256 or not expanding.eof:
        raise BackupUnusable(f"{part.file} is not as it was written: its sha256 differs")
    if (rows, content.hexdigest()) != (part.rows, part.content):
        raise BackupUnusable(f"{part.file} does not have the {part.rows} rows that the server sent")


def value_of(line: bytes, column: int) -> str:
    """The value of that column (from 0) of a row's line, which is not NULL."""
    value = line.rstrip(b"\n").split(b"\t")[column]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value).decode()
