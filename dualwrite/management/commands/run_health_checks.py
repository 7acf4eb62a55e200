"""`run_health_checks`: how every component is. 0 UP; 1 DOWN or out of service; 3 when it cannot be told.

With --record what is found is kept, as the task of every five minutes does, canaries included. With --history nothing
is looked at: it tells what was found over an hour, a day and thirty days, and what is left of the error budgets; 1 when
a budget is spent.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from dualwrite.management.base import OperatorCommand
from dualwrite.management.render import table
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.health import Report, run_checks
from dualwrite.monitoring.history import history, record
from dualwrite.monitoring.objectives import WINDOWS
from dualwrite.monitoring.status import Status


class Command(OperatorCommand):
    """Runs all checks side by side."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--record or --history."""
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--record", action="store_true", help="send canaries as well, and keep what is found")
        what.add_argument("--history", action="store_true", help="what was found so far, and the error budgets")

    def run(self, options: dict[str, Any]) -> int:
        """Answer the components and say the worst in the exit code."""
        if options["history"]:
            return self._history(options)
        report = record(timezone.now()) if options["record"] else run_checks(ALL)
        self.answer(options, report.as_data(), as_text(report))
        if report.status is Status.UP:
            return 0
        return 3 if report.status is Status.UNKNOWN else 1

    def _history(self, options: dict[str, Any]) -> int:
        found = history(timezone.now())
        self.answer(options, {"components": found}, history_as_text(found))
        return 1 if any((one["budget"] or {}).get("met") is False for one in found.values()) else 0


def as_text(report: Report) -> str:
    """A line per component; below, what to do about those that are not UP."""
    rows = [[r.name, r.status, f"{r.seconds:.2f} s", r.details.get("error", "")] for r in report.results]
    lines = [f"status: {report.status}", table(["component", "status", "took", "why"], rows)]
    lines += [f"! {r.name}: {r.mend}" for r in report.results if r.status is not Status.UP]
    return "\n".join(lines)


def history_as_text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A line per component."""
    if not found:
        return "nobody has recorded how the components are; run_health_checks --record does, as does the scheduled task"
    head = ["component", "status", "since", *WINDOWS, "objective", "budget left"]
    return table(head, [_line(name, one) for name, one in found.items()])


def _line(name: str, one: Mapping[str, Any]) -> list[str]:
    shares = [_share(one["windows"][window]) for window in WINDOWS]
    return [name, one["status"], f"{one['since']:%Y-%m-%d %H:%M}", *shares, *_spent(one["budget"])]


def _share(seen: Mapping[str, Any] | None) -> str:
    if seen is None or seen["availability"] is None:
        return "not seen"
    return f"{100 * seen['availability']:.3f} %"


def _spent(budget: Mapping[str, Any] | None) -> tuple[str, str]:
    if budget is None:
        return "none", ""
    verdict = {True: "", False: ", spent", None: ", not seen for long enough"}[budget["met"]]
    return f"{100 * budget['target']:g} %", f"{100 * budget['left']:.0f} %{verdict}"
