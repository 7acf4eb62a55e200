"""Validation over HTTP: asked for, told, cancelled. The worker does it."""

from typing import Any

from django.urls import reverse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import count, many, maybe, moment, one_of, record, ref, text, words, yes_or_no
from actuator.shapes import REASON
from actuator.view import OperatorView
from actuator.waiting import (
    IDEMPOTENCY,
    PREFER,
    PROBLEMS,
    QUEUED,
    Ordered,
    Wanted,
    answered,
    last,
    one_at_a_time,
    wait_of,
)
from dualwrite import runs
from dualwrite.access import caller_of
from dualwrite.access.idempotency import answered_once
from dualwrite.background import send
from dualwrite.exceptions import Refused, UsageError
from dualwrite.management.base import mirrored_streams
from dualwrite.models import ValidationRun
from dualwrite.monitoring.validations import standing
from dualwrite.parameters import VALIDATION_LEVEL
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.validation.level import Level
from dualwrite.validation.result import as_data
from dualwrite.validation.run import cancel
from dualwrite.validation.several import Order, batch_size
from dualwrite.validation.standing import comparable

TASK, ONE, STATUS, TAG = "dualwrite.validation.run_ordered", "validation-result", "validation-status", "validation"
RUN = record(
    optional=("validation_level", "stream", "batch_size", "repair", "force", "dry_run", "reason"),
    validation_level=one_of(Level, "How closely; VALIDATION_LEVEL unless said."),
    stream=words("Which stream; every one that is not complete unless said."),
    batch_size=count("Rows taken over at a time.", minimum=1, maximum=1_000_000),
    repair=yes_or_no("Note the keys that differ, so that they are relayed."),
    force=yes_or_no("Repair however many keys differ; needs a reason."),
    dry_run=yes_or_no("With `repair`: only say what would be noted."),
    reason=REASON,
)
CANCEL = record(optional=("reason",), reason=REASON)
RESULTS = record(runs=many(ref("ValidationRun")))
OF_STREAM = record(
    stream=text(),
    running=maybe(ref("ValidationRun")),
    last=maybe(ref("ValidationRun")),
    last_passed_at=maybe(moment()),
    skipped_because=maybe(text("Why there is nothing to compare.")),
)


class RunView(OperatorView):
    """POST /actuator/validation/run."""

    @operation(
        "runValidation",
        TAG,
        {200: Answer(RESULTS, "All have ended within the time that was to be waited."), 202: QUEUED},
        body=RUN,
        example={"validation_level": "detailed"},
        headers={**PREFER, **IDEMPOTENCY},
        problems=PROBLEMS,
    )
    def post(self, request: Request) -> Response:
        """Compare both stores of a stream, or of each one that is mirrored."""
        body = given(request, RUN)
        wait_of(request)
        return answered_once(request, lambda: _ordered(request, body))


def _ordered(request: Request, body: dict[str, Any]) -> Response:
    actor = caller_of(request).actor(body.get("reason", ""))
    _require_fitting(body)
    streams = _comparable(body.get("stream"))
    level = body.get("validation_level") or VALIDATION_LEVEL.value()
    order = Order(level, int(body["batch_size"]) if "batch_size" in body else None)
    if order.batch_size is not None:
        batch_size(order.batch_size)
    mending = {name: body.get(name, False) for name in ("repair", "force", "dry_run")}
    with one_at_a_time(ValidationRun, streams, ONE):
        after = last(ValidationRun)
        for stream in streams:
            command = f"manage.py run_validation --level {level} --stream {stream.name}"
            own = {"level": level, "batch_size": order.batch_size, "actor": actor.name, "reason": actor.reason}
            send(TASK, command, streams=[stream.name], **own, **mending)
        ordered = Ordered.of([_wanted(stream, level) for stream in streams], after)
    return answered(request, ordered, _results, reverse(STATUS))


def _require_fitting(body: dict[str, Any]) -> None:
    for name in ("force", "dry_run"):
        if body.get(name) and not body.get("repair"):
            raise UsageError(f"{name} goes with repair")
    if body.get("force") and not body.get("reason"):
        raise UsageError("force needs a reason")


def _comparable(name: str | None) -> list[Stream]:
    """The streams as the command chooses them; raises what refuses one of them, before any is begun."""
    chosen, left = mirrored_streams({"stream": name})
    for stream in chosen:
        comparable(stream)
    if not chosen:
        raise Refused("; ".join(f"stream {stream} is {why}" for stream, why in left.items()))
    return chosen


def _wanted(stream: Stream, level: str) -> Wanted:
    rows = ValidationRun.objects.filter(stream=stream.name, level=level, configuration__incremental=False)
    return Wanted(stream.name, rows, ONE)


def _results(ended: list[Any]) -> dict[str, Any]:
    return {"runs": [as_data(run) for run in ended]}


class StatusView(OperatorView):
    """GET /actuator/validation/status."""

    @operation(
        "validationStatus",
        TAG,
        {
            200: Answer(
                record(
                    enabled=yes_or_no("Whether the schedule validates."),
                    level=text("How closely it does."),
                    next_run_at=maybe(moment()),
                    streams=many(OF_STREAM),
                ),
                "How each stream was found.",
            )
        },
    )
    def get(self, request: Request) -> Response:
        """Of each stream the run under way and the last one; when the schedule comes next."""
        found = standing()
        rows = [
            {
                "stream": one.stream,
                "running": as_data(one.running) if one.running else None,
                "last": as_data(one.last) if one.last else None,
                "last_passed_at": one.last_passed_at,
                "skipped_because": one.skipped_because or None,
            }
            for one in found.streams
        ]
        own = {"enabled": found.enabled, "level": found.level, "next_run_at": found.next_run_at}
        return Response({**own, "streams": rows})


class ResultView(OperatorView):
    """GET /actuator/validation/result/{id}."""

    @operation(
        "validationResult",
        TAG,
        {200: Answer(ref("ValidationRun"), "The run, as far as it is.")},
        query={
            "offset": count("The first difference that is told."),
            "limit": count("How many are told, 20 unless said.", maximum=100),
        },
    )
    def get(self, request: Request, number: int) -> Response:
        """One run: totals of both stores, what is missing, mismatched or unsettled, and a page of differences."""
        offset, limit = _whole(request, "offset", 0, None), _whole(request, "limit", 20, 100)
        found = as_data(_run(number))
        kept = found["differences"]
        page = {"differences": kept[offset : offset + limit], "differences_total": len(kept), "offset": offset}
        return Response({**found, **page})


class CancelView(OperatorView):
    """POST /actuator/validation/result/{id}/cancel."""

    @operation(
        "cancelValidation",
        TAG,
        {200: Answer(ref("ValidationRun"), "The run as it is now; it stops within a second.")},
        body=CANCEL,
        example={"reason": "the server is busy"},
        problems={409: "It has ended already."},
    )
    def post(self, request: Request, number: int) -> Response:
        """Ask a run to stop."""
        body = given(request, CANCEL)
        _run(number)
        return Response(as_data(cancel(number, caller_of(request).actor(body.get("reason", "")))))


def _run(number: int) -> ValidationRun:
    with reaching(Store.REGISTRY):
        if not ValidationRun.objects.filter(pk=number).exists():
            raise NotFound(f"There is no validation run {number}.")
    return runs.run_numbered(ValidationRun, number)


def _whole(request: Request, name: str, usual: int, most: int | None) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or (most is not None and int(text) > most):
        valid = f"a whole number from 0 to {most}" if most is not None else "a whole number, 0 or more"
        raise UsageError(f"{name}={text}; valid: {valid}")
    return int(text)
