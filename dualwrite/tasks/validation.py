"""Validation: of all streams every half hour, or of some for somebody."""

from collections.abc import Callable, Sequence
from typing import Any

from celery import shared_task

from dualwrite.parameters import VALIDATION_ENABLED
from dualwrite.schedule.recorded import Recorded
from dualwrite.stream import all_streams, stream_named
from dualwrite.switch import Actor
from dualwrite.tasks.quietly import HARD, SOFT, Ordered, quietly
from dualwrite.validation.repair import Repair
from dualwrite.validation.several import Order, validate_each


@shared_task(base=Recorded, name="dualwrite.validation.run", soft_time_limit=SOFT, time_limit=HARD)
def validate_all() -> list[dict[str, Any]]:
    """Every mirrored stream, as closely as VALIDATION_LEVEL says: what was written since, and a part of the rest.

    Nothing where VALIDATION_ENABLED is false.
    """
    if not VALIDATION_ENABLED.value():
        return []
    return _each([stream.name for stream in all_streams()], lambda: Order(incremental=True, unattended=True))


@shared_task(base=Ordered, name="dualwrite.validation.run_ordered", soft_time_limit=SOFT, time_limit=HARD)
def validate_ordered(
    streams: Sequence[str],
    actor: str,
    reason: str = "",
    level: str | None = None,
    batch_size: int | None = None,
    repair: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> list[dict[str, Any]]:
    """Validate those streams wholly for somebody; `force` and `dry_run` belong to the repair."""
    mending = Repair(Actor(actor, reason), force=force, dry_run=dry_run) if repair else None
    return _each(streams, lambda: Order(level, batch_size, mending))


def _each(names: Sequence[str], order: Callable[[], Order]) -> list[dict[str, Any]]:
    """One stream after another; what was refused is a line of the log and of the result."""
    return [
        quietly(lambda name=name: _one(name, order()), "stream", name, f"validation of {name}")  # type: ignore[misc]
        for name in names
    ]


def _one(name: str, order: Order) -> dict[str, Any]:
    (run,) = validate_each([stream_named(name)], order).runs
    return {"stream": run.stream, "status": run.status, "found": run.found, "run": run.pk}
