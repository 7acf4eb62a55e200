"""`python -m ops.model`: run the model, one line for each run."""

import argparse
import os
import signal
import sys
from collections.abc import Callable

from ops.model.runs import Asks, Run, all_runs
from ops.model.spin import Found, ModelError, missing, verify

DESCRIPTION = "Check the model of the protocol: whole, without an error; with an ingredient left out, with one."
FAILED, COULD_NOT_TELL = 1, 3


def main(arguments: list[str]) -> int:
    """Run what was asked for. Returns 1 when a run did not end as it must, 3 when it could not be told."""
    options = parse(arguments)
    if absent := missing():
        print(f"the model was not checked: {', '.join(absent)} not found (Debian: spin, gcc)", file=sys.stderr)
        return COULD_NOT_TELL
    runs = [run for run in all_runs(deep=options.deep) if not options.only or options.only in (run.name, run.config)]
    if not runs:
        print(f"no run is named {options.only!r}", file=sys.stderr)
        return COULD_NOT_TELL
    failed = [run for run in runs if not passes(run, tell=options.trail)]
    print(f"{len(runs) - len(failed)} of {len(runs)} runs ended as they must")
    return FAILED if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m ops.model", description=DESCRIPTION)
    parser.add_argument("--deep", action="store_true", help="bigger configurations, for about 10 minutes")
    parser.add_argument("--only", metavar="NAME", help="one configuration (SWITCH ...) or switch (NO_BURN ...)")
    parser.add_argument("--trail", action="store_true", help="tell the steps that lead to each error")
    return parser.parse_args(arguments)


def passes(run: Run, *, tell: bool) -> bool:
    """Do one run, print its line, and tell its steps when asked to or when the error should not be there."""
    try:
        found = verify(run)
    except ModelError as exc:
        print(f"FAIL {label(run)} {exc}", flush=True)
        return False
    passed = found.error is run.must_fail
    print(f"{'ok  ' if passed else 'FAIL'} {label(run)} {facts(run, found)}", flush=True)
    if found.error and (tell or not passed):
        print("".join(f"       {step}\n" for step in found.steps), end="", flush=True)
    return passed


def label(run: Run) -> str:
    """Which run it is, in columns."""
    return f"{run.name:27} {run.config + (' deep' if run.deep else ''):13} {run.asks:15}"


def facts(run: Run, found: Found) -> str:
    """What was found, in columns."""
    verb = "reached" if run.asks is Asks.REACHED else "fails"
    result = f"{verb} after {len(found.steps)} steps" if found.error else "holds"
    return f"{result:22} {found.states:>10,} states {found.seconds:6.1f} s {found.megabytes:5.0f} MB"


def quietly(work: Callable[[], int]) -> int:
    """Do it; when whoever read its lines has gone, as `head` does, end as a program that the signal ended."""
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered goes nowhere, so that the interpreter's own flush at the end does not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


if __name__ == "__main__":
    sys.exit(quietly(lambda: main(sys.argv[1:])))
