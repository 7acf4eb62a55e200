"""A part of a backup: batches of rows as lines of text, compressed.

The text of each batch is hashed as the server sent it, the file as it is stored. A line is a row: in the server's text
format a line break inside a value is written as `\\n`.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import zstandard

from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.rows import Batch

LEVEL = 3
#: Threads that compress. One alone lets the rows wait where what it works on is full.
COMPRESSING = 2
CHUNK = 1 << 20
#: How the server writes what would end a value or a line.
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """What is known of a stored part; `bytes` and `sha256` (hexadecimal) are the file's."""

    file: str
    rows: int
    bytes: int
    sha256: str


class PartWriter:
    """Takes text of rows, writes it compressed; `close` tells what became of it. Each raises OSError.

    Compressing is left to threads of the compressor. In one of Python's it waited for the interpreter's lock at each
    text, while rows are taken from the server one by one, and exporting took longer than without any thread.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._stored = hashlib.sha256()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, threads=COMPRESSING).compressobj()
        self._rows = self._bytes = 0

    def add(self, text: bytes, rows: int) -> None:
        """Write this text of so many rows."""
        self._write(self._compressor.compress(text))
        self._rows += rows

    def close(self) -> Part:
        """No more rows come."""
        self._write(self._compressor.flush())
        return Part(self._name, self._rows, self._bytes, self._stored.hexdigest())

    def _write(self, data: bytes) -> None:
        if data:
            self._stored.update(data)
            self._bytes += self._file.write(data)


class Expanding:
    """Expands a stored part, and hashes the file on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._object = zstandard.ZstdDecompressor().decompressobj()
        self._stored, self._bytes = hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        """The text in pieces; raises BackupUnusable where it is damaged."""
        try:
            while data := self._file.read(CHUNK):
                self._stored.update(data)
                self._bytes += len(data)
                yield self._object.decompress(data)
        except zstandard.ZstdError as exc:
            raise BackupUnusable(f"it cannot be expanded: {exc}") from exc

    def require(self, part: Part) -> None:
        """All was read: raise BackupUnusable unless the file is that part, to its end."""
        if self._bytes != part.bytes:
            raise BackupUnusable(f"{part.file} has {self._bytes} bytes, and {part.bytes} were written")
        if self._stored.hexdigest() != part.sha256 or not self._object.eof:
            raise BackupUnusable(f"{part.file} is not as it was written: its sha256 differs")


def check(file: IO[bytes], part: Part, batches: Sequence[Batch]) -> None:
    """Read a stored part to its end; raises BackupUnusable saying how it differs from what the server sent."""
    expanding = Expanding(file)
    texts = cut(iter(expanding), [batch.text_bytes for batch in batches])
    try:
        # All of it is read, whatever is found: what is told first is how the file differs.
        sound = [_is_sound(batch, text) for batch, text in zip(batches, texts, strict=False)]
        more = [text for text in texts if text]
    except BackupUnusable as exc:
        raise BackupUnusable(f"{part.file}: {exc.detail}") from exc
    expanding.require(part)
    if not all(sound) or more:
        raise BackupUnusable(f"{part.file} does not have the {part.rows} rows that the server sent")


def _is_sound(batch: Batch, text: Sequence[bytes]) -> bool:
    sha256 = hashlib.sha256()
    for piece in text:
        sha256.update(piece)
    rows = sum(piece.count(b"\n") for piece in text)
    return (rows, sha256.hexdigest()) == (batch.rows, batch.sha256)


def cut(pieces: Iterator[bytes], sizes: Sequence[int]) -> Iterator[list[bytes]]:
    """The pieces as texts of so many bytes each, as far as they go; last, what comes after them."""
    filled = filter(None, pieces)
    rest = b""
    for size in sizes:
        own: list[bytes] = []
        while size and (rest := rest or next(filled, b"")):
            own.append(rest[:size])
            rest, size = rest[size:], size - len(own[-1])
        yield own
    yield [piece for piece in (rest, *filled) if piece]


def value_of(line: bytes, column: int) -> str:
    """The value of that column (from 0) of a row's line, which is not NULL."""
    value = line.rstrip(b"\n").split(b"\t")[column]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), value).decode()
