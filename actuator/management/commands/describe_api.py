"""`describe_api`: writes docs/openapi.yaml and the table of docs/security.md anew, from the code."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from actuator.openapi.written import SECURITY, description, with_table
from dualwrite.management.base import OperatorCommand

OPENAPI = "docs/openapi.yaml"


class Command(OperatorCommand):
    """0 when both files say what the code does; with --check, 1 when one does not."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whether it is only looked."""
        super().add_arguments(parser)
        parser.add_argument(
            "--check", action="store_true", help="write nothing; say whether they are as they are to be"
        )

    def run(self, options: dict[str, Any]) -> int:
        """Write, or look."""
        found = {name: _is_same(name, text) for name, text in _files().items()}
        changed = [name for name, same in found.items() if not same]
        if not options["check"]:
            for name in changed:
                _path(name).write_text(_files()[name], encoding="utf-8")
        said = {True: "differs; manage.py describe_api writes it", False: "written anew"}[options["check"]]
        text = "\n".join(f"{name} {said}" for name in changed) or "both files say what the code does"
        self.answer(options, {"changed": changed}, text)
        return 1 if changed and options["check"] else 0


def _files() -> dict[str, str]:
    text = _path(SECURITY).read_text(encoding="utf-8") if _path(SECURITY).exists() else ""
    return {OPENAPI: description(), SECURITY: with_table(text)}


def _is_same(name: str, text: str) -> bool:
    return _path(name).exists() and _path(name).read_text(encoding="utf-8") == text


def _path(name: str) -> Path:
    return Path(settings.BASE_DIR) / name
