"""`verify_readiness`: whether the running system does what it is there for; nine checks, each does the thing."""

import os
from argparse import ArgumentParser
from textwrap import wrap
from typing import Any

from django.conf import settings

from dualwrite.exceptions import UnknownName
from dualwrite.management.base import OperatorCommand
from dualwrite.management.progress import Steps
from dualwrite.management.render import table
from dualwrite.readiness import CHECKS, Finding, prove
from dualwrite.readiness.service import Service

#: Of the column of evidence.
WIDTH = 84
USUAL = "http://127.0.0.1:8086"


class Command(OperatorCommand):
    """0 when all passed, 1 when one did not."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--url, --check."""
        super().add_arguments(parser)
        url = os.environ.get("SERVICE_URL") or USUAL
        parser.add_argument("--url", default=url, help=f"where the service answers (SERVICE_URL, else {USUAL})")
        parser.add_argument(
            "--check", action="append", metavar="NAME", help=f"only this one, may be repeated; {', '.join(CHECKS)}"
        )

    def run(self, options: dict[str, Any]) -> int:
        """Run them, and tell each with its evidence."""
        chosen = _chosen(options["check"])
        service = Service(options["url"].rstrip("/"), str(settings.INTERNAL_API_KEY))
        found: list[Finding] = []
        with Steps() as steps:
            running = prove(service, {name: CHECKS[name] for name in chosen})
            for name in chosen:
                steps.begin(name)
                found.append(next(running))
        self.answer(options, {"checks": [one.as_data() for one in found]}, _text(found))
        return 0 if all(one.passed for one in found) else 1


def _chosen(names: list[str] | None) -> list[str]:
    for name in names or ():
        if name not in CHECKS:
            raise UnknownName("check", name, CHECKS)
    return [name for name in CHECKS if names is None or name in names]


def _rows(one: Finding) -> list[list[str]]:
    """Its evidence in as many lines as it takes."""
    first, *further = wrap(one.evidence, WIDTH) or [""]
    mark = "✓" if one.passed else "✗"
    return [[mark, one.name, f"{one.seconds:.2f}", first], *(["", "", "", line] for line in further)]


def _text(found: list[Finding]) -> str:
    rows = [row for one in found for row in _rows(one)]
    passed = sum(one.passed for one in found)
    return f"{table(['', 'check', 'seconds', 'evidence'], rows)}\n\n{passed}/{len(found)} passed"
