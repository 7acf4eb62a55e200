"""`parameter`: live parameters with their values and where these come from; set one, or take that back."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.configuration.overriding import Set, override, take_back
from dualwrite.configuration.report import report
from dualwrite.exceptions import UsageError
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.render import table
from dualwrite.parameters import parameter_named


class Command(OperatorCommand):
    """Lists all parameters or tells one; 0 when done, 1 when a change set off what could not be done."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which one, and what it is to be."""
        super().add_arguments(parser)
        parser.add_argument("name", nargs="?", help="only this parameter, with or without INSTRUMENT_REGISTRY_")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--set", dest="value", metavar="VALUE", help="let it be this, before the environment's")
        what.add_argument("--take-back", action="store_true", help="let it be what it is without that")
        parser.add_argument("--reason", default="", help="why; kept with the change")

    def run(self, options: dict[str, Any]) -> int:
        """Change one, or tell."""
        if options["value"] is None and not options["take_back"]:
            return self._tell(options)
        if not options["name"]:
            raise UsageError("name the parameter to be changed")
        if options["take_back"]:
            done = take_back(options["name"], actor(options))
        else:
            done = override(options["name"], options["value"], actor(options))
        self._answer(options, done)
        return 1 if done.failed else 0

    def _answer(self, options: dict[str, Any], done: Set) -> None:
        change, now = done.change, done.reading
        data = {"parameter": change.name, "before": change.before, "after": change.after, "value": str(now.value)}
        faults = [*now.faults, *done.failed]
        said = [f"{change.name} is {now.value} ({now.origin})", *(f"! {fault}" for fault in faults)]
        self.answer(options, {**data, "origin": now.origin.value, "faults": faults}, "\n".join(said))

    def _tell(self, options: dict[str, Any]) -> int:
        found = report()
        if options["name"]:
            name = parameter_named(options["name"]).name
            found["parameters"] = [row for row in found["parameters"] if row["name"] == name]
        self.answer(options, found, _text(found, whole=bool(options["name"])))
        return 0


def _text(found: dict[str, Any], *, whole: bool) -> str:
    rows = [[row["name"], row["value"], row["origin"], row["default"]] for row in found["parameters"]]
    lines = [table(["parameter", "value", "origin", "default"], rows)]
    for row in found["parameters"]:
        lines += [row["meaning"]] if whole else []
        lines += [f"! {row['name']}: {fault}" for fault in row["faults"]]
        if whole and (last := row["last_change"]):
            lines.append(f"last changed {last['at']:%Y-%m-%d %H:%M} by {last['by']}: {last['reason']}")
    service = found["config_service"]
    if service["state"] == "open":
        lines.append(f"! {service['error']}; asked again at {service['ask_at']:%H:%M:%S}")
    return "\n".join(lines)
