"""The sub-commands of `./run` and their options; what they do is in `commands`."""

import argparse
import sys

import psutil
import psycopg

from ops.local import commands
from ops.local.children import interruptible
from ops.local.errors import LauncherError
from ops.local.say import say

DESCRIPTION = "Run the instrument registry on this machine. Without a sub-command: set up, run the main job, serve."
PASS_THROUGH = ("test", "bench", "manage", "psql")


def main(arguments: list[str]) -> int:
    """Run the sub-command and return its exit code; errors are one sentence on stderr."""
    interruptible()
    try:
        options, rest = parse(arguments)
        return int(options.run(options, rest))
    except LauncherError as exc:
        say(str(exc))
        return exc.exit_code
    except (OSError, psycopg.Error, psutil.Error) as exc:
        say(f"{type(exc).__name__}: {' '.join(str(exc).split())}")
        return LauncherError.exit_code


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Options of the sub-command and, for those that pass arguments on, everything after its name."""
    if arguments[:1] and arguments[0] in PASS_THROUGH:
        return build().parse_args(arguments[:1]), arguments[1:]
    return build().parse_args(arguments), []


def build() -> argparse.ArgumentParser:
    """The parser; an unknown sub-command lists the valid ones and ends with exit code 2."""
    parser = argparse.ArgumentParser(prog="./run", description=DESCRIPTION)
    parser.add_argument("--port", type=port_number, default=8086, help="port of the web server on 127.0.0.1 (8086)")
    parser.set_defaults(run=commands.serve)
    subs = parser.add_subparsers(metavar="COMMAND")
    once = subs.add_parser("once", help="run the main job alone, then stop what was started for it")
    once.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")
    once.set_defaults(run=commands.once)
    for name, function, text in (
        ("test", commands.test, "run the tests: [--deep] [pytest arguments]"),
        ("check", commands.check, "run every static check"),
        ("bench", commands.bench, "run one benchmark: NAME [--rows N] [--json]"),
        ("manage", commands.manage, "run manage.py with the same servers: ARGUMENTS"),
        ("psql", commands.psql, "open a database: screener|registry [psql arguments]"),
        ("stop", commands.stop, "stop everything that runs for this checkout"),
    ):
        subs.add_parser(name, help=text).set_defaults(run=function)
    # ops/bootstrap.py runs these two: they must work before anything is installed.
    for name, text in (
        ("doctor", "say what is missing on this machine"),
        ("lock", "compile the requirements*.txt anew: [uv options]"),
    ):
        subs.add_parser(name, help=text).set_defaults(run=commands.not_first)
    return parser


def port_number(text: str) -> int:
    """The port that `text` names. Raises ArgumentTypeError, which ends in usage and exit code 2."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; valid are 1 to 65535")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
