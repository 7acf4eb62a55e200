"""Several policies one after another, each for itself: one that is refused keeps no other from being looked at."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dualwrite.exceptions import DualWriteError
from dualwrite.models import RetentionPolicy, RetentionRun
from dualwrite.retention.run import Order, run
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import reaching


@dataclass(frozen=True)
class Told:
    """The runs that came about, and by policy what refused the others."""

    runs: list[RetentionRun] = field(default_factory=list)
    refused: dict[str, DualWriteError] = field(default_factory=dict)


def run_each(policy: str | None, order: Order, watch: Callable[[str], Watch] = lambda name: Watch()) -> Told:
    """Run the policy of that name, or every enabled one; raises what refuses one that was named."""
    told = Told()
    # An empty name is one that is not known, not all of them.
    for name in enabled() if policy is None else [policy]:
        try:
            told.runs.append(run(name, order, watch(name)))
        except DualWriteError as exc:
            if policy is not None:
                raise
            told.refused[name] = exc
    return told


def enabled() -> list[str]:
    """The names of the policies that are switched on; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        return list(RetentionPolicy.objects.filter(enabled=True).values_list("name", flat=True))
