"""What is asked of a run, and what it works on."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone

from dualwrite.models import RetentionRun
from dualwrite.parameters import RETENTION_FREE_ROWS
from dualwrite.retention import brakes
from dualwrite.retention.exceptions import Braked
from dualwrite.retention.planner import Plan
from dualwrite.retention.policy import Policy
from dualwrite.retention.vault import Vault
from dualwrite.runs import Watch
from dualwrite.switch import Actor


@dataclass(frozen=True)
class Order:
    """Who wants it, and what: `execute` removes, else it is only planned; `force` gets past the brake on rows and
    shares, and needs a reason; `unattended`: nobody asked, so it keeps to the policy's hours."""

    actor: Actor
    execute: bool = False
    force: bool = False
    unattended: bool = False


@dataclass(frozen=True)
class Case:
    """A run under way: its row, policy and order, what it tells and asks, where backups are."""

    run: RetentionRun
    policy: Policy
    order: Order
    watch: Watch
    vault: Vault

    @property
    def stop(self) -> Callable[[], str]:
        """Why no further batch is to go."""
        if not self.order.unattended:
            return lambda: ""
        return lambda: brakes.hours(self.policy, timezone.now())


def require_no_more(case: Case, plan: Plan, rows: int) -> None:
    """Raise Braked where so much came since it was planned that it would have been refused."""
    if not case.order.force and (why := brakes.share(case.policy, rows, plan.rows, RETENTION_FREE_ROWS.value())):
        raise Braked(f"{why}; {plan.goes} were planned")
