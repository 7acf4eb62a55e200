"""`run_retention`: what is older than its policy allows goes, once a verified backup has it. A dry run unless told."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from dualwrite.exceptions import UsageError
from dualwrite.management import retentions
from dualwrite.management.base import OperatorCommand, actor
from dualwrite.management.progress import JsonLines, Steps
from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.retention.approval import approve
from dualwrite.retention.enabling import disable, enable
from dualwrite.retention.run import Order, cancel
from dualwrite.retention.several import run_each
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor

VERBS: Mapping[str, Callable[[str, Actor], RetentionPolicy]] = {
    "approve": approve,
    "disable": disable,
    "enable": enable,
}
#: Runs that are told.
LATEST = 20


class Command(OperatorCommand):
    """Plans one policy or all enabled ones, or carries them out; 0 when all came to their end."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which policy, and what becomes of it."""
        super().add_arguments(parser)
        parser.add_argument("--policy", metavar="NAME", help="only this policy; all enabled ones unless said")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--execute", action="store_true", help="remove what is old, of approved policies")
        what.add_argument("--dry-run", action="store_true", help="only tell what would go, as is done unless told")
        what.add_argument("--approve", action="store_true", help="approve a policy as it is; needs --policy, --reason")
        what.add_argument("--disable", action="store_true", help="switch a policy off; needs --policy, --reason")
        what.add_argument("--enable", action="store_true", help="switch it on again; needs --policy, --reason")
        what.add_argument("--cancel", type=int, metavar="RUN", help="stop a run; the next one goes on where it was")
        what.add_argument("--history", action="store_true", help="tell the latest runs")
        parser.add_argument("--force", action="store_true", help="with --execute: however many rows; needs --reason")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def run(self, options: dict[str, Any]) -> int:
        """Approve, cancel, or run policy by policy."""
        if options["force"] and not options["execute"]:
            raise UsageError("--force goes with --execute")
        if options["force"] and not options["reason"]:
            raise UsageError("force needs a reason")
        if options["cancel"] is not None:
            return self._cancel(options)
        if options["history"]:
            return self._history(options)
        for name, verb in VERBS.items():
            if options[name]:
                return self._switch(options, verb)
        with ExitStack() as stack:
            told = JsonLines() if options["json"] else stack.enter_context(Steps())
            order = Order(actor(options), execute=options["execute"], force=options["force"])
            each = run_each(options["policy"], order, lambda name: Watch(told.follow(name)))
        refused = {name: str(exc) for name, exc in each.refused.items()}
        self.answer(options, retentions.told_data(each, order), retentions.text(each.runs, refused))
        return max([retentions.exit_code(each.runs), *(exc.exit_code for exc in each.refused.values())])

    def _switch(self, options: dict[str, Any], verb: Callable[[str, Actor], RetentionPolicy]) -> int:
        if options["policy"] is None:
            raise UsageError("name the policy with --policy NAME")
        row = verb(options["policy"], actor(options))
        self.answer(options, retentions.policy_data(row), retentions.policy_text(row))
        return 0

    def _history(self, options: dict[str, Any]) -> int:
        with reaching(Store.REGISTRY):
            runs = RetentionRun.objects.filter(**({"policy": options["policy"]} if options["policy"] else {}))
            latest = list(runs[:LATEST])
        self.answer(options, {"runs": [retentions.as_data(made) for made in latest]}, retentions.history(latest))
        return 0

    def _cancel(self, options: dict[str, Any]) -> int:
        made = cancel(options["cancel"], actor(options))
        self.answer(options, retentions.as_data(made), f"retention run {made.pk} is asked to stop")
        return 0
