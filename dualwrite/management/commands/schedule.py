"""`schedule`: what runs when, how it ended last, and when it runs next."""

from argparse import ArgumentParser
from typing import Any

from dualwrite.management.base import OperatorCommand
from dualwrite.management.render import table
from dualwrite.schedule.entries import missing, seed
from dualwrite.schedule.standing import Standing, standing
from dualwrite.stages import Store
from dualwrite.stores import failing


class Command(OperatorCommand):
    """0 when every task that is switched on was done last; 1 when one was not, or a row is missing."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--seed."""
        super().add_arguments(parser)
        parser.add_argument("--seed", action="store_true", help="add the rows a registry begins with that are missing")

    def run(self, options: dict[str, Any]) -> int:
        """Tell it, after adding what is missing where that is asked for."""
        with failing(Store.REGISTRY):
            added = seed() if options["seed"] else []
            lacking = missing()
        found = standing()
        data = {"tasks": [one.as_data() for one in found], "missing": lacking, "added": added}
        self.answer(options, data, _text(found, lacking, added))
        return 1 if lacking or any(one.is_bad for one in found) else 0


def _text(found: list[Standing], lacking: list[str], added: list[str]) -> str:
    head = ["task", "every", "last run", "began", "seconds", "next"]
    lines = [table(head, [_row(one) for one in found])]
    lines += [f"! {one.name}: {one.last.sentence}" for one in found if one.last and one.last.sentence]
    lines += [f"! no row of the schedule calls {name}; manage.py schedule --seed adds it" for name in lacking]
    lines += [f"added {name}" for name in added]
    return "\n".join(lines)


def _row(one: Standing) -> list[object]:
    last = one.last
    began = f"{last.started_at:%Y-%m-%d %H:%M:%S}" if last and last.started_at else None
    due = f"{one.next_at:%Y-%m-%d %H:%M:%S}" if one.next_at else "switched off"
    return [one.name, one.every, last.status if last else None, began, last.seconds if last else None, due]
