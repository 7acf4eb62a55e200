"""`run_health_checks`: how every component is. 0 UP; 1 DOWN or out of service; 3 when it cannot be told."""

from typing import Any

from dualwrite.management.base import OperatorCommand
from dualwrite.management.render import table
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.health import Report, run_checks
from dualwrite.monitoring.status import Status


class Command(OperatorCommand):
    """Runs all checks side by side."""

    help = __doc__ or ""

    def run(self, options: dict[str, Any]) -> int:
        """Answer the components and say the worst in the exit code."""
        report = run_checks(ALL)
        self.answer(options, report.as_data(), as_text(report))
        if report.status is Status.UP:
            return 0
        return 3 if report.status is Status.UNKNOWN else 1


def as_text(report: Report) -> str:
    """A line per component; below, what to do about those that are not UP."""
    rows = [[r.name, r.status, f"{r.seconds:.2f} s", r.details.get("error", "")] for r in report.results]
    lines = [f"status: {report.status}", table(["component", "status", "took", "why"], rows)]
    lines += [f"! {r.name}: {r.mend}" for r in report.results if r.status is not Status.UP]
    return "\n".join(lines)
