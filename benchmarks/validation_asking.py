"""Asking for one comparison in a process of its own, and not taking its time for granted: its result is checked."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.harness import Sample
from benchmarks.validation_rows import key
from dualwrite.stream import Stream
from dualwrite.validation.scope import Scope
from dualwrite.validation.verdict import Kind


def compare(stream: Stream, scope: Scope, rows: int | None, planted: Mapping[Kind, Sequence[int]]) -> Sample:
    """The engine's comparison; raises BenchError unless it sees so many rows, and these records differ, no other."""
    found = _asked("compare", stream, {"part": scope.part, "named": scope.named})
    expected = {kind: sorted(map(key, numbers)) for kind, numbers in planted.items()}
    if found["cut_short"] or found["tally"] != {kind: len(keys) for kind, keys in expected.items()}:
        raise BenchError(f"the comparison of {stream.name} found {found['tally']} {found['cut_short']}".rstrip())
    # The findings keep the first of many differences only.
    if any(not {*found["keys"][kind]} <= {*keys} for kind, keys in expected.items()):
        raise BenchError(f"the comparison of {stream.name} named other keys than those that differ")
    if rows is not None:
        extra, missing = (len(planted.get(kind, ())) for kind in (Kind.EXTRA, Kind.MISSING))
        _require_rows(stream, found["rows"], [rows, rows + extra - missing])
    elif not all(found["rows"]):
        raise BenchError(f"the comparison of {stream.name} saw no rows")
    return Sample(found["seconds"], found["peak_bytes"])


def load(stream: Stream, rows: int) -> Sample:
    """Both stores read into Python; raises BenchError unless so many rows were, and are equal."""
    found = _asked("load", stream, {})
    if found["tally"]:
        raise BenchError(f"{found['tally']} of {stream.name} between equal stores")
    _require_rows(stream, found["rows"], [rows, rows])
    return Sample(found["seconds"], found["peak_bytes"])


def _require_rows(stream: Stream, found: Sequence[int], expected: Sequence[int]) -> None:
    if sorted(found) != sorted(expected):
        raise BenchError(f"the comparison of {stream.name} saw {found} rows instead of {expected}")


def _asked(how: str, stream: Stream, asked: Mapping[str, object]) -> dict[str, Any]:
    tables = {store.value: side.table for store, side in stream.sides.items()}
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.validation_child", how],
        input=json.dumps({"stream": stream.name, "tables": tables, **asked}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if child.returncode:
        raise BenchError(f"the process that was to {how} {stream.name} ended with exit code {child.returncode}")
    found: dict[str, Any] = json.loads(child.stdout)
    return found
