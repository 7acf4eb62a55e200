"""What all operator commands share: one sentence for an error, the exit codes, JSON alone on stdout."""

import getpass
import json
import os
import sys
from argparse import ArgumentParser
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from dualwrite.exceptions import DualWriteError, UsageError
from dualwrite.stream import Stream, all_streams, stream_named
from dualwrite.switch import Actor


class OperatorCommand(BaseCommand):
    """0 yes or done; 1 no; 2 usage; 3 could not tell; 4 already running."""

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Every operator command answers in JSON when asked."""
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; its exit code is what `run` returns."""
        try:
            _require_text(options)
            code = self.run(options)
        except DualWriteError as exc:
            raise CommandError(str(exc), returncode=exc.exit_code) from exc
        except (DatabaseError, psycopg.Error) as exc:
            first = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
            raise CommandError(f"A database did not do what was asked: {first}", returncode=3) from exc
        except KeyboardInterrupt as exc:
            raise CommandError("interrupted", returncode=130) from exc
        if code:
            sys.exit(code)

    def run(self, options: dict[str, Any]) -> int:
        """Do it and return the exit code."""
        raise CommandError("this command does nothing")

    def answer(self, options: dict[str, Any], data: Any, text: str) -> None:
        """The result: JSON or text, on stdout."""
        self.stdout.write(json.dumps(data, default=str, ensure_ascii=False) if options["json"] else text)


def actor(options: dict[str, Any]) -> Actor:
    """Who runs the command, and the reason given."""
    return Actor(f"command:{_user()}", options.get("reason") or "")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # as in a container whose user has no entry


def _require_text(options: dict[str, Any]) -> None:
    for name, value in options.items():
        try:
            str(value).encode()
        except UnicodeEncodeError as exc:
            raise UsageError(f"--{name.replace('_', '-')} is not valid UTF-8") from exc


def chosen_streams(options: dict[str, Any]) -> list[Stream]:
    """The stream of --stream, else all of them."""
    return list(all_streams()) if options.get("stream") is None else [stream_named(options["stream"])]
