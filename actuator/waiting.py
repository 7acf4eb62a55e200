"""Work that takes long: handed to the worker, its run named as soon as it has begun, waited for where that is wanted.

How it can fail, and the answer: no worker, or no broker → nothing is begun, 503 with the command that does the same;
the worker is busy → 202 all the same, the run `queued`, and looked for by who asked; another run of the same is under
way → 409 naming it; two ask at once → one of them has the place in the queue, and the other is told so.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer
from actuator.openapi.shapes import many, record, ref, text, words
from actuator.problems import Problem
from dualwrite import runs
from dualwrite.background import awaited
from dualwrite.exceptions import AlreadyRunning, UsageError
from dualwrite.models import Run
from dualwrite.runs.lock import Named
from dualwrite.stages import Store
from dualwrite.stores import reaching

#: Seconds; nobody waits longer over HTTP.
LONGEST_WAIT = 60
LOOK_SECONDS = 0.2
# Any text: what is no preference that is known is left aside (RFC 7240).
PREFER = {"Prefer": text("`wait=N`: answer when all has ended, within N seconds, 60 at most.")}
IDEMPOTENCY = {"Idempotency-Key": words("The same call with the same key is made once, and answered alike.", 200)}
QUEUED = Answer(
    record(runs=many(ref("Ordered"))),
    "The worker does it.",
    headers={"Location": "Where to look.", "Preference-Applied": "So long was waited."},
)
PROBLEMS = {
    409: "One is under way already: `run` and `location` name it.",
    422: "The Idempotency-Key was used for another call.",
}


@dataclass(frozen=True)
class Wanted:
    """A run that is wanted: `of` what, the rows it may be, the name of the endpoint of one run."""

    of: str
    rows: Any
    endpoint: str

    def begun(self, after: int) -> Run | None:
        """The run, once the worker has begun it."""
        with reaching(Store.REGISTRY):
            found: Run | None = self.rows.filter(pk__gt=after).order_by("pk").first()
        return found

    def as_data(self, run: Run | None) -> dict[str, Any]:
        """As the answer has it."""
        location = reverse(self.endpoint, args=[run.pk]) if run else None
        status = run.status if run else "queued"
        return {"of": self.of, "run": run.pk if run else None, "status": status, "location": location}


def wait_of(request: Request) -> float:
    """So many seconds are to be waited, 0 unless the header Prefer says so; raises UsageError."""
    preferred = request.headers.get("Prefer", "")
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*([^,;\s]*)", preferred, re.IGNORECASE)
    if found is None:
        return 0
    if not re.fullmatch(r"\d{1,9}", found[1], re.ASCII):
        raise UsageError(f"Prefer: wait={found[1]}; valid: seconds, {LONGEST_WAIT} at most")
    return min(int(found[1]), LONGEST_WAIT)


@contextmanager
def one_at_a_time(model: type[Run], subjects: Sequence[Named], endpoint: str) -> Iterator[None]:
    """Nobody else orders a run of these meanwhile, and none is under way; raises Problem naming the one that is."""
    with ExitStack() as stack:
        for subject in sorted(subjects, key=lambda one: one.name):
            try:
                stack.enter_context(runs.only_run(f"{model.kind} order", subject, model.about))
            except AlreadyRunning as exc:
                said = f"Somebody else is just asking for {exc.detail}."
                raise Problem(409, said, {"code": "AlreadyRunning"}) from exc
            _require_none(model, subject, endpoint)
        yield


def _require_none(model: type[Run], subject: Named, endpoint: str) -> None:
    if runs.holder(model.kind, subject.name) is None:
        return
    with reaching(Store.REGISTRY):
        row = model._default_manager.filter(stream=subject.name, status=Run.RUNNING).order_by("-pk").first()
    more: dict[str, Any] = {"code": "AlreadyRunning"}
    headers = {}
    if row is not None:
        headers["Location"] = reverse(endpoint, args=[row.pk])
        more |= {"run": row.pk, "location": headers["Location"]}
    number = f": run {row.pk}" if row else ""
    raise Problem(409, f"{model.kind} of {model.about} {subject.name} is already running{number}.", more, headers)


def last(model: type[Run]) -> int:
    """The number of the newest run; a new one's is higher."""
    with reaching(Store.REGISTRY):
        return model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or 0


def until_begun(wanted: Sequence[Wanted], after: int) -> list[Run | None]:
    """The runs, as far as the worker has begun them within some seconds."""
    found: list[Run | None] = [None] * len(wanted)

    def all_begun() -> bool | None:
        for place, one in enumerate(wanted):
            found[place] = found[place] or one.begun(after)
        return True if all(found) else None

    awaited(all_begun)
    return found


def until_ended(wanted: Sequence[Wanted], after: int, seconds: float) -> list[Run] | None:
    """The runs, if all end within so many seconds."""
    pace, until = threading.Event(), time.monotonic() + seconds
    while True:
        found = [one.begun(after) for one in wanted]
        ended = [run for run in found if run is not None and run.status != Run.RUNNING]
        if len(ended) == len(wanted):
            return ended
        if time.monotonic() >= until:
            return None
        pace.wait(LOOK_SECONDS)


@dataclass(frozen=True)
class Ordered:
    """Runs that were ordered after the run `after`, and those of them that have begun."""

    wanted: Sequence[Wanted]
    after: int
    begun: Sequence[Run | None]

    @classmethod
    def of(cls, wanted: Sequence[Wanted], after: int) -> "Ordered":
        """As far as the worker has begun them within some seconds."""
        return cls(wanted, after, until_begun(wanted, after))


def answered(request: Request, ordered: Ordered, result: Callable[[list[Run]], Any], elsewhere: str) -> Response:
    """202 with the runs; 200 with what `result` makes of them where they were waited for and ended.

    `elsewhere`: where to look while none has begun.
    """
    wanted, begun = ordered.wanted, ordered.begun
    rows = [one.as_data(run) for one, run in zip(wanted, begun, strict=True)]
    location = next((str(row["location"]) for row in rows if row["location"]), elsewhere)
    headers = {"Location": location}
    if seconds := wait_of(request):
        headers["Preference-Applied"] = f"wait={seconds:g}"
        ended = until_ended(wanted, ordered.after, seconds)
        if ended is not None:
            return Response(result(ended), headers=headers)
    return Response({"runs": rows}, status=202, headers=headers)
