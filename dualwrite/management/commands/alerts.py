"""`alerts`: what fires. 0 nothing; 1 something; 3 when it cannot be told, as nobody has evaluated lately."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.exceptions import UsageError
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.moments import duration
from dualwrite.management.render import table
from dualwrite.models import Alert, AlertState
from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.alerts.operate import acknowledge, silence
from dualwrite.monitoring.alerts.report import Report, as_data, report


class Command(OperatorCommand):
    """Lists open alerts, evaluates the rules now, or acknowledges or silences one, which exits with 0."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and why."""
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="evaluate every rule now, and send what is due")
        what.add_argument("--acknowledge", type=int, metavar="ID", help="say that somebody sees to it")
        what.add_argument("--silence", type=int, metavar="ID", help="tell nobody for a while")
        parser.add_argument("--for", dest="lasts", metavar="TIME", help="how long it is silenced, such as 30m, 2h, 1d")
        parser.add_argument("--reason", default="", help="why; kept with the alert")

    def run(self, options: dict[str, Any]) -> int:
        """Do it, or tell."""
        if options["lasts"] and options["silence"] is None:
            raise UsageError("--for is of --silence")
        if options["acknowledge"] is not None:
            return self._done(options, acknowledge(options["acknowledge"], actor(options)))
        if options["silence"] is not None:
            lasts = duration("--for", options["lasts"] or "")
            return self._done(options, silence(options["silence"], lasts, actor(options)))
        if options["check"]:
            evaluate()
        return self._told(options, report())

    def _done(self, options: dict[str, Any], alert: Alert) -> int:
        until = f" until {alert.silenced_until:%Y-%m-%d %H:%M:%S %Z}" if alert.silenced_until else ""
        self.answer(options, {"alert": as_data(alert)}, f"alert {alert.pk} ({alert}) is {alert.state}{until}")
        return 0

    def _told(self, options: dict[str, Any], found: Report) -> int:
        self.answer(options, found.as_data(), _text(found))
        if found.fires:
            return 1
        return 3 if found.stale or not found.rules else 0


def _text(found: Report) -> str:
    told = [one for one in found.alerts if AlertState(one["state"]).fires]
    lines = [] if told else ["nothing fires"]
    lines += [_alerts(found)] if found.alerts else []
    lines += [f"! {one['name']}, {one['subject']}: {one['why']}\n    {one['runbook']}" for one in told]
    lines += [f"? {one['measure']} of {one['subject']} is unknown: {one['why']}" for one in found.unknown]
    lines += [f"! channel {c['name']} failed {c['failures']} times: {c['error']}" for c in found.failing_channels]
    if not found.rules:
        lines.append("! no rule is switched on, so nothing can fire")
    if found.stale:
        when = found.evaluated_at
        said = f"evaluated the rules since {when:%Y-%m-%d %H:%M:%S %Z}" if when else "ever evaluated the rules"
        lines.append(f"! nobody has {said}; `alerts --check` does, a worker with beat does it always")
    return "\n".join(lines)


def _alerts(found: Report) -> str:
    rows = [[a["id"], a["name"], a["subject"], a["severity"], a["state"], _shown(a), _at(a)] for a in found.alerts]
    return table(["id", "alert", "subject", "severity", "state", "value", "since"], rows)


def _shown(alert: dict[str, Any]) -> str:
    return "?" if alert["value"] is None else f"{alert['value']:g} ({alert['unit']})"


def _at(alert: dict[str, Any]) -> str:
    return f"{alert['since']:%Y-%m-%d %H:%M:%S}"
