"""`run_validation`: prove that both stores of a stream are equal, and make them equal where they are not."""

from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dualwrite.exceptions import DualWriteError, UsageError
from dualwrite.management import validations
from dualwrite.management.base import OperatorCommand, actor, mirrored_streams
from dualwrite.management.progress import JsonLines, Steps
from dualwrite.models import ValidationRun
from dualwrite.parameters import VALIDATION_BATCH_SIZE, VALIDATION_LEVEL
from dualwrite.runs import Watch
from dualwrite.validation.repair import Repair
from dualwrite.validation.result import as_data
from dualwrite.validation.run import resume
from dualwrite.validation.several import Order, validate_each


class Command(OperatorCommand):
    """Validates one stream or all; 0 when every run passed or was repaired, 1 when something was found."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What is compared, what is repaired, and what becomes of runs of before."""
        super().add_arguments(parser)
        parser.add_argument("--level", help=f"basic, detailed or strict; {VALIDATION_LEVEL.variable} unless said")
        parser.add_argument("--stream", help="only this stream")
        part = parser.add_mutually_exclusive_group()
        part.add_argument("--full", action="store_true", help="the whole stream, as is done unless said otherwise")
        part.add_argument(
            "--incremental",
            action="store_true",
            help="what was written since the last run and a 48th of the rest, as the schedule does",
        )
        parser.add_argument("--batch-size", type=int, help=VALIDATION_BATCH_SIZE.meaning)
        parser.add_argument("--repair", action="store_true", help="note the keys that differ, so that they are relayed")
        parser.add_argument("--dry-run", action="store_true", help="with --repair: say what would be noted")
        parser.add_argument("--force", action="store_true", help="repair however many keys differ; needs --reason")
        parser.add_argument("--reason", default="", help="why; kept in the audit")
        former = parser.add_mutually_exclusive_group()
        former.add_argument("--resume", type=int, metavar="RUN", help="do a cancelled or broken run again")
        former.add_argument("--cancel", type=int, metavar="RUN", help="stop a run")

    def run(self, options: dict[str, Any]) -> int:
        """Cancel a run, or validate stream by stream."""
        _require_fitting(options)
        if options["cancel"] is not None:
            return self._cancel(options)
        with ExitStack() as stack:
            told = JsonLines() if options["json"] else stack.enter_context(Steps())
            done = _again(options, told) if options["resume"] is not None else _validated(options, told)
        runs, left = done.runs, {**done.passed_over, **{name: str(exc) for name, exc in done.refused.items()}}
        self.answer(
            options, {"runs": [as_data(run) for run in runs], "passed_over": left}, validations.text(runs, left)
        )
        return max([validations.exit_code(runs), *(exc.exit_code for exc in done.refused.values())])

    def _cancel(self, options: dict[str, Any]) -> int:
        run = validations.cancelled(options["cancel"], actor(options))
        self.answer(options, {"runs": [as_data(run)]}, validations.cancel_sentence(run))
        return 0


Told = Steps | JsonLines


@dataclass(frozen=True)
class _Done:
    """The runs, the streams passed over with the reason, and those that refused."""

    runs: list[ValidationRun]
    passed_over: dict[str, str]
    refused: dict[str, DualWriteError]


def _validated(options: dict[str, Any], told: Told) -> _Done:
    """Each stream for itself: one that is refused keeps no other from being compared."""
    streams, left = mirrored_streams(options)
    order = Order(options["level"], _batch_size(options), _repair(options), options["incremental"])
    done = validate_each(streams, order, lambda name: Watch(told.follow(name), batch_size=order.batch_size))
    if done.refused and not done.runs:
        raise next(iter(done.refused.values()))
    return _Done(done.runs, left, done.refused)


def _again(options: dict[str, Any], told: Told) -> _Done:
    number = options["resume"]
    watch = Watch(told.follow(f"run {number} again"), batch_size=_batch_size(options))
    return _Done([resume(number, watch, _repair(options), options["stream"])], {}, {})


def _repair(options: dict[str, Any]) -> Repair | None:
    if not options["repair"]:
        return None
    return Repair(actor(options), force=options["force"], dry_run=options["dry_run"])


def _batch_size(options: dict[str, Any]) -> int | None:
    size = options["batch_size"]
    if size is None:
        return None
    try:
        return VALIDATION_BATCH_SIZE.parse(str(size))
    except ValueError as exc:
        raise UsageError(f"--batch-size {size}; {exc}") from exc


def _require_fitting(options: dict[str, Any]) -> None:
    for name in ("dry_run", "force"):
        if options[name] and not options["repair"]:
            raise UsageError(f"--{name.replace('_', '-')} goes with --repair")
    if options["resume"] is not None and options["level"] is not None:
        raise UsageError("--resume does a run again at the level it had; leave --level out")
    if options["resume"] is not None and (options["full"] or options["incremental"]):
        raise UsageError("--resume does a run again with the scope it had; leave --full and --incremental out")
    if options["cancel"] is not None and any(
        options[n] for n in ("level", "stream", "repair", "batch_size", "full", "incremental")
    ):
        raise UsageError("--cancel takes nothing else but --json and --reason")
