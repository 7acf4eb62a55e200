"""What the kept runs of scheduled tasks tell: how many occurrences in a row did not come to their end."""

from collections.abc import Iterable
from itertools import takewhile

from dualwrite.models import Measure, TaskRun, TaskStatus
from dualwrite.monitoring.alerts.sources import Source
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.schedule.entries import ENTRIES
from dualwrite.stages import Store
from dualwrite.stores import failing

BAD = (TaskStatus.FAILED, TaskStatus.CRASHED, TaskStatus.MISSED)
ENDED = (*BAD, TaskStatus.DONE)
#: More is not counted.
MOST = 50


def tasks() -> list[Sample]:
    """Each task of the schedule that has ever ended."""
    with failing(Store.REGISTRY):
        return [sample for entry in ENTRIES for sample in _task(entry.task)]


def _task(name: str) -> list[Sample]:
    ended = TaskRun.objects.filter(task=name, status__in=ENDED).exclude(schedule="")
    last = list(ended.values_list("slot", "status", "sentence")[:MOST])
    if not last:
        return []
    broken = in_a_row((slot, status) for slot, status, _ in last)
    why = f"{broken} occurrences in a row did not come to their end; the last: {last[0][1]}, {last[0][2]}"
    return [Sample(Measure.TASK_FAILING, name, float(broken), why if broken else "")]


def in_a_row(ended: Iterable[tuple[str, str]]) -> int:
    """How many occurrences failed since the last one that was done; from newest to oldest. Pure.

    One of which an attempt was done was done, whatever became of the others.
    """
    return len({slot for slot, _ in takewhile(lambda one: one[1] != TaskStatus.DONE, ended)})


SOURCE = Source("tasks", (Measure.TASK_FAILING,), tasks)
