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

from dualwrite import trace
from dualwrite.configuration.refresh import first_look
from dualwrite.control import transition
from dualwrite.exceptions import DualWriteError, UsageError, first_line
from dualwrite.stages import Store
from dualwrite.stores import present
from dualwrite.stream import Stream, all_streams, stream_named
from dualwrite.switch import Actor

#: How long a command waits for its live parameters.
PATIENCE_SECONDS = 1.0
PASSED_OVER = "passed over, as it is complete: the old store is no part of it any more"


class OperatorCommand(BaseCommand):
    """0 yes or done; 1 no; 2 usage; 3 could not tell; 4 already running."""

    requires_system_checks: list[str] = []
    _answered = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Every operator command answers in JSON when asked."""
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; its exit code is what `run` returns."""
        try:
            _require_text(options)
            with trace.begun():
                first_look(PATIENCE_SECONDS)
                code = self.run(options)
        except DualWriteError as exc:
            self._answer_refusal(options, exc)
            raise CommandError(str(exc), returncode=exc.exit_code) from exc
        except (DatabaseError, psycopg.Error) as exc:
            first = first_line(exc)
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
        self._answered = True
        self.stdout.write(json.dumps(data, default=str, ensure_ascii=False) if options["json"] else text)

    def _answer_refusal(self, options: dict[str, Any], exc: DualWriteError) -> None:
        """Machines are told on stdout what people are told on stderr; never a second object after an answer."""
        if options["json"] and not self._answered:
            error = {"kind": type(exc).__name__, "detail": str(exc), "exit_code": exc.exit_code}
            self.answer(options, {"error": error}, "")


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
            # The text of a list has what cannot be encoded escaped.
            "".join(map(str, value if isinstance(value, list) else [value])).encode()
        except UnicodeEncodeError as exc:
            raise UsageError(f"--{name.replace('_', '-')} is not valid UTF-8") from exc


def chosen_streams(options: dict[str, Any]) -> list[Stream]:
    """The stream of --stream, else all of them."""
    return list(all_streams()) if options.get("stream") is None else [stream_named(options["stream"])]


def mirrored_streams(options: dict[str, Any]) -> tuple[list[Stream], dict[str, str]]:
    """The chosen streams without the complete ones, and by name a sentence for each of those passed over.

    One that is named is never passed over, and without an old store none is: the verb refuses for itself.
    """
    chosen = chosen_streams(options)
    if options.get("stream") is not None or Store.SCREENER not in present():
        return chosen, {}
    left = {stream.name: PASSED_OVER for stream in chosen if transition.is_complete(stream)}
    return [stream for stream in chosen if stream.name not in left], left
