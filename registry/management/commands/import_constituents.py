"""Import a CSV file of index constituents."""

import json
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dualwrite.management.base import actor
from dualwrite.management.progress import Steps
from registry.exceptions import RegistryError
from registry.importing import ImportReport, import_file


class Command(BaseCommand):
    """Exits 0 when no row was rejected, 1 when one or all were, 2 for usage, 3 without a database."""

    help = "Import a CSV file of current members (into the screener) or of spells (into the registry)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV file with a header; its columns tell members from spells")
        parser.add_argument("--index", help="index of all rows; needed for spells")
        parser.add_argument("--exchange", help="exchange code of rows that name none")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            type=_pair,
            metavar="FIELD=COLUMN",
            help="read FIELD from COLUMN; may be given several times",
        )
        parser.add_argument("--into", choices=("screener", "registry"), help="store to write to")
        parser.add_argument("--rejects", metavar="FILE", help="file for rejected rows")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Steps() as steps:
                report = import_file(
                    options["file"],
                    index=options["index"],
                    exchange=options["exchange"],
                    columns=dict(options["column"]),
                    into=options["into"],
                    rejects=options["rejects"],
                    actor=actor(options).name,
                    steps=steps,
                )
        except RegistryError as exc:
            raise CommandError(str(exc), returncode=exc.exit_code) from exc
        self.stdout.write(json.dumps(report.as_dict()) if options["json"] else _sentence(report))
        if report.rejected:
            sys.exit(1)


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise ArgumentTypeError(f"{text!r} is not FIELD=COLUMN")
    return field, column


def _sentence(report: ImportReport) -> str:
    counts = f"{report.accepted} accepted, {report.unchanged} unchanged, {report.rejected} rejected"
    where = f"; rejected rows and why: {report.rejects_path}" if report.rejected else ""
    return f"{report.file}: {report.read} rows read: {counts}{where}"
