"""`python -m benchmarks NAME [--rows N] [--rounds N] [--json]`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib import import_module

import psycopg
from django.db import Error

from benchmarks import harness, report
from benchmarks.databases import prepared
from benchmarks.errors import BenchError
from dualwrite.exceptions import DualWriteError, first_line

#: Gives the groups of cases of a benchmark of that many rows, and keeps alive what they need.
Opener = Callable[[int, Callable[[str], None]], AbstractContextManager[Iterable[harness.Group]]]


@dataclass(frozen=True)
class Benchmark:
    """Its module, which is imported only once Django is set up; its rows."""

    module: str
    rows: int
    meaning: str
    least_rows: int = 100


BENCHMARKS = {
    "api": Benchmark("benchmarks.api", 1_000_000, "the API beside the bare statement with its JSON, and the engine"),
    "capture": Benchmark(
        "benchmarks.capture", 10_000, "writes through the ORM with the engine's triggers, and without any"
    ),
    "relay": Benchmark("benchmarks.relay", 200_000, "the relay, and one upsert of the same rows on the server"),
    "writing": Benchmark("benchmarks.writing", 200, "one record by stream.write, and the model of each store saved"),
    "switch": Benchmark("benchmarks.switch", 20_000, "saves that meet a switch, and saves that meet none"),
    "retention": Benchmark(
        "benchmarks.retention", 1_000_000, "half of the business audit removed with a backup, and without"
    ),
    "status": Benchmark(
        "benchmarks.status", 5_000_000, "metrics and status with a full outbox, and without; health with all hanging"
    ),
    "validation": Benchmark("benchmarks.validation", 1_000_000, "comparing both stores, and copying them out; peers"),
}


def main(arguments: list[str]) -> int:
    """Run one benchmark; an unknown name lists the valid ones and ends with exit code 2."""
    options = _parser().parse_args(arguments)
    found = BENCHMARKS[options.name]
    rows = found.rows if options.rows is None else options.rows
    if rows < found.least_rows:
        print(f"--rows {rows}: {options.name} needs at least {found.least_rows}", file=sys.stderr)
        return 2
    if options.rounds is not None and options.rounds < 1:
        print(f"--rounds {options.rounds}: at least 1 is needed", file=sys.stderr)
        return 2
    try:
        result = _run(options.name, found, rows, options.rounds)
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return exc.exit_code
    except (DualWriteError, Error, psycopg.Error) as exc:
        print(f"bench: {first_line(exc)}", file=sys.stderr)
        return BenchError.exit_code
    except KeyboardInterrupt:
        print("bench: interrupted; its databases are dropped", file=sys.stderr)
        return 130
    print(json.dumps(result) if options.json else report.table(result))
    return 0 if all(ratio["met"] for ratio in result["ratios"].values()) else 1


def _parser() -> argparse.ArgumentParser:
    names = "; ".join(f"{name}: {one.meaning}" for name, one in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure the engine against its limits.")
    parser.add_argument("name", choices=list(BENCHMARKS), metavar="NAME", help=names)
    parser.add_argument("--rows", type=int, help="how many rows are written or relayed")
    parser.add_argument("--rounds", type=int, help="how often each case is measured; more is steadier")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")
    return parser


def _run(name: str, found: Benchmark, rows: int, rounds: int | None) -> harness.Report:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", file=sys.stderr, flush=True)

    say("making two databases")
    with prepared():
        from benchmarks.machine import describe

        result = harness.Report(name=name, rows=rows, machine=describe(), cases={}, ratios={})
        opened: Opener = import_module(found.module).opened
        with opened(rows, say) as groups:
            for group in groups:
                measured = harness.run_rounds(replace(group, rounds=rounds or group.rounds), say)
                result["cases"] |= harness.case_reports(group, measured)
                result["ratios"] |= harness.ratio_reports(group, measured)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
