"""`run_validation`: prove that both stores of a stream are equal."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.management.base import OperatorCommand, mirrored_streams
from dualwrite.management.progress import Steps
from dualwrite.management.render import table
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.validation.run import LEVELS, validate


class Command(OperatorCommand):
    """Validates one stream or all; 0 when every run passed, 1 when something was found."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--level, --stream."""
        super().add_arguments(parser)
        parser.add_argument("--level", default="strict", choices=LEVELS, help="how closely rows are compared")
        parser.add_argument("--stream", help="only this stream")

    def run(self, options: dict[str, Any]) -> int:
        """Validate stream by stream."""
        with Steps() as steps:
            streams, left = mirrored_streams(options)
            runs = [validate(stream, options["level"], steps.begin) for stream in streams]
        text = "\n".join([as_text(runs), *(f"{name}: {why}" for name, why in left.items())])
        self.answer(options, {"runs": [as_data(run) for run in runs], "passed_over": left}, text)
        if any(run.status == ValidationStatus.ERROR for run in runs):
            return 3
        return 0 if all(run.status == ValidationStatus.PASSED for run in runs) else 1


def as_data(run: ValidationRun) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "id": run.pk,
        "stream": run.stream,
        "level": run.level,
        "status": run.status,
        "authority": run.authority,
        "authority_rows": run.authority_rows,
        "mirror_rows": run.mirror_rows,
        "missing_in_mirror": run.missing_in_mirror,
        "extra_in_mirror": run.extra_in_mirror,
        "field_mismatch": run.field_mismatch,
        "unsettled": run.unsettled,
        "differences": run.differences,
        "error": run.error,
    }


def as_text(runs: list[ValidationRun]) -> str:
    """A line per run, then the first differences."""
    head = ["run", "stream", "verdict", "rows", "mirror", "missing", "extra", "mismatch", "unsettled"]
    rows = [
        [
            run.pk,
            run.stream,
            run.status,
            run.authority_rows,
            run.mirror_rows,
            run.missing_in_mirror,
            run.extra_in_mirror,
            run.field_mismatch,
            run.unsettled,
        ]
        for run in runs
    ]
    lines = [table(head, rows)]
    lines += [f"! {run.stream}: {run.error}" for run in runs if run.error]
    lines += [f"  {d['kind']} {d['key']} ({d['history']})" for run in runs for d in run.differences[:20]]
    return "\n".join(lines)
