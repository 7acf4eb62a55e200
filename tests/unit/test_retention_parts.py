"""Parts and manifests of a backup: whatever is done to their bytes is seen."""

import hashlib
import io
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualwrite.retention import manifest, part
from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.manifest import Manifest, Moment, Stored
from dualwrite.retention.part import Part, PartWriter, value_of
from dualwrite.retention.rows import Batch
from dualwrite.retention.verify import batch_of, taken

LINES = [f"{number}\tline {number}\t\\N\n".encode() for number in range(500)]


def written(lines: list[bytes]) -> tuple[bytes, Part]:
    file = io.BytesIO()
    writer = PartWriter(file, "part-00001.zst")
    for line in lines:
        writer.add(line, 1)
    made = writer.close()
    return file.getvalue(), made


def batch(first: int, rows: int) -> Batch:
    """Of those lines."""
    text = b"".join(LINES[first : first + rows])
    return Batch(str(first), str(first + rows - 1), rows, len(text), hashlib.sha256(text).hexdigest())


def place(first: int) -> int:
    """Where a line begins in the text."""
    return sum(map(len, LINES[:first]))


DATA, MADE = written(LINES)
BATCHES = (batch(0, 300), batch(300, 200))


def test_a_part_is_read_as_it_was_written() -> None:
    part.check(io.BytesIO(DATA), MADE, BATCHES)
    assert b"".join(part.Expanding(io.BytesIO(DATA))) == b"".join(LINES)
    assert (MADE.rows, MADE.bytes) == (500, len(DATA))


@given(st.integers(0, 8 * len(DATA) - 1))
def test_any_bit_that_flips_is_seen(bit: int) -> None:
    changed = bytearray(DATA)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BackupUnusable):
        part.check(io.BytesIO(changed), MADE, BATCHES)


@given(st.integers(0, len(DATA) - 1))
def test_any_byte_that_is_cut_off_is_seen(length: int) -> None:
    with pytest.raises(BackupUnusable):
        part.check(io.BytesIO(DATA[:length]), MADE, BATCHES)


@pytest.mark.parametrize("more", [b"\0", DATA, b"x" * 100])
def test_anything_behind_the_end_is_seen(more: bytes) -> None:
    with pytest.raises(BackupUnusable):
        part.check(io.BytesIO(DATA + more), MADE, BATCHES)


@pytest.mark.parametrize("told", [{"bytes": 1}, {"sha256": "0" * 64}, {"sha256": ""}])
def test_a_part_of_which_something_else_is_told_is_seen(told: dict[str, Any]) -> None:
    with pytest.raises(BackupUnusable):
        part.check(io.BytesIO(DATA), replace(MADE, **told), BATCHES)


@pytest.mark.parametrize(
    "batches",
    [
        (),
        BATCHES[:1],
        BATCHES[1:],
        BATCHES[::-1],
        (*BATCHES, batch(0, 1)),
        (BATCHES[0], replace(BATCHES[1], rows=199)),
        (BATCHES[0], replace(BATCHES[1], sha256="0" * 64)),
        (BATCHES[0], replace(BATCHES[1], text_bytes=BATCHES[1].text_bytes - 1)),
    ],
)
def test_a_part_that_has_other_batches_than_were_sent_is_seen(batches: tuple[Batch, ...]) -> None:
    with pytest.raises(BackupUnusable, match="does not have the 500 rows"):
        part.check(io.BytesIO(DATA), MADE, batches)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def escaped(text: str) -> bytes:
    """As the server writes it."""
    for plain, written in [
        ("\\", "\\\\"),
        ("\b", "\\b"),
        ("\f", "\\f"),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("\v", "\\v"),
    ]:
        text = text.replace(plain, written)
    return text.encode()


@given(st.lists(TEXTS, min_size=1, max_size=5), st.data())
def test_a_value_of_a_line_is_what_the_server_had(values: list[str], data: st.DataObject) -> None:
    column = data.draw(st.integers(0, len(values) - 1))
    line = b"\t".join(map(escaped, values)) + b"\n"
    assert line.count(b"\n") == 1
    assert value_of(line, column) == values[column]


@given(st.integers(0, 500), st.integers(0, 500))
def test_rows_of_a_part_are_taken_by_their_place(first: int, count: int) -> None:
    text = b"".join(LINES[first : first + count])
    assert b"".join(taken(io.BytesIO(DATA), place(first), len(text))) == text


@given(st.lists(st.binary(max_size=5), max_size=9), st.lists(st.integers(0, 7), max_size=6))
def test_text_is_cut_by_its_bytes(pieces: list[bytes], sizes: list[int]) -> None:
    text, found = b"".join(pieces), [b"".join(own) for own in part.cut(iter(pieces), sizes)]
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    assert found == [text[first:last] for first, last in zip(ends, [*ends[1:], None], strict=True)]


def test_a_batch_is_taken_only_as_it_was_exported() -> None:
    assert b"".join(batch_of(io.BytesIO(DATA), place(100), batch(100, 50), "x")) == b"".join(LINES[100:150])
    for before, wrong in [(101, batch(100, 50)), (100, replace(batch(100, 50), text_bytes=9)), (480, batch(480, 20))]:
        changed, _ = written([line.replace(b"line 499", b"line 498") for line in LINES])
        with pytest.raises(BackupUnusable, match="are not what was exported"):
            list(batch_of(io.BytesIO(changed), place(before), wrong, "x"))


MANIFEST = Manifest(
    run=1,
    name="letters",
    policy={"table": "letters"},
    policy_hash="p",
    schema_hash="s",
    schema="public",
    table="letters",
    key="id",
    columns={"id": "bigint", "wörter": "text"},
    cutoff="2026-01-01T00:00:00+00:00",
    made_at="2026-01-01T00:00:00+00:00",
    server={"version": "180000"},
    previous="",
    moment=Moment("7", "9", "8"),
    parts=(Stored(MADE, BATCHES),),
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert manifest.decoded(MANIFEST.encoded()) == MANIFEST
    assert (MANIFEST.rows, MANIFEST.size) == (500, len(DATA))
    assert [before for _, before in MANIFEST.parts[0].placed()] == [0, place(300)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        MANIFEST.encoded()[:-1],
        MANIFEST.encoded().replace(b'"form": 1', b'"form": 2'),
        MANIFEST.encoded().replace(b'"parts"', b'"pieces"'),
        MANIFEST.encoded().replace(b'"moment"', b'"time"'),
        MANIFEST.encoded().replace(b'"text_bytes"', b'"texts"'),
    ],
)
def test_a_manifest_that_is_none_is_told(data: bytes) -> None:
    with pytest.raises(BackupUnusable):
        manifest.decoded(data)


class FullDisk(io.BytesIO):
    """Takes nothing."""

    def write(self, data: object) -> int:
        """Raise."""
        raise OSError(28, "No space left on device")


def many_texts(writer: PartWriter) -> None:
    # Not compressible, and in the end more than the compressor keeps to itself.
    line = random.Random(1).randbytes(1 << 20)
    for _ in range(100):
        writer.add(line, 1)


def test_what_cannot_be_written_is_told_while_rows_are_still_taken() -> None:
    writer = PartWriter(FullDisk(), "part-00001.zst")
    with pytest.raises(OSError, match="No space left"):
        many_texts(writer)


def test_a_part_whose_last_text_cannot_be_written_is_not_closed() -> None:
    writer = PartWriter(FullDisk(), "part-00001.zst")
    writer.add(b"a row\n", 1)
    with pytest.raises(OSError, match="No space left"):
        writer.close()
