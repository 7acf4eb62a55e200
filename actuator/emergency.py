"""The two endpoints for when much is broken: they ask no limit of requests, no Redis, and no database for the
environment's key. Any other key is looked up for a second, and what was asked with it is not done later.
"""

from functools import partial
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from actuator.dual_write import PLAIN, streams_of
from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import Shape, many, one_of, record, text, yes_or_no
from actuator.problems import Problem
from actuator.shapes import REASON, VERB_ANSWER
from actuator.verbs import row
from actuator.view import OperatorView
from dualwrite.access import Clearance, caller_of
from dualwrite.access.caller import Caller
from dualwrite.access.exceptions import KeyRefused
from dualwrite.access.keys import recognised
from dualwrite.emergency import Stopped, reset, stop
from dualwrite.emergency.reach import within
from dualwrite.exceptions import StoreUnreachable, UsageError
from dualwrite.monitoring.side_by_side import begun
from dualwrite.monitoring.streams import why_not
from dualwrite.stream import stream_named

TAG = "emergency"
RESET = record(optional=("reason",), reason=REASON)
STEPS = record(
    complete=yes_or_no("Whether everything was done."),
    steps=many(record(step=text(), done=yes_or_no(), sentence=text())),
    left=many(text(), "What was left alone on purpose."),
    next=text("What to do now."),
)
CONFIRM: Shape = {**one_of(["true"], "That it is meant."), "x-required": True}

LOOK_UP_SECONDS = 0.9


class EmergencyView(OperatorView):
    """What both share. Where keys are kept may be what is broken: whoever asks is told within a second. A key of 256
    random bits is not found by trying, so wrong ones keep nobody from an emergency stop.
    """

    throttle_classes = ()
    audits_itself = True

    def recognised(self, text: str) -> Caller:
        """Whose key it is; raises KeyRefused, StoreUnreachable where that is not known within a second."""
        (outcome,) = within([begun("whose key it is", partial(recognised, text))], LOOK_UP_SECONDS)
        error = outcome.error
        if isinstance(error, KeyRefused):
            raise error
        if outcome.value is None:
            why = error.detail if isinstance(error, StoreUnreachable) else why_not(outcome, LOOK_UP_SECONDS)
            raise StoreUnreachable(
                f"nothing was done, as it is not known whose key that is ({why}); the environment's INTERNAL_API_KEY "
                "asks no database, nor does manage.py dualwrite disable"
            )
        return outcome.value


class DisableView(EmergencyView):
    """POST /actuator/dual-write/disable."""

    @operation(
        "disable",
        TAG,
        {200: Answer(VERB_ANSWER, "No write that starts now is noted; `pending` is what could not be told elsewhere.")},
        body=PLAIN,
        problems={
            409: "A switch does not come to its end; `streams` has each stream.",
            503: "A stream could not be stopped, or not yet; `streams` says of each what is done and what is pending.",
        },
        example={"reason": "the registry is being flooded"},
    )
    def post(self, request: Request) -> Response:
        """Emergency stop: note nothing any more, of every stream unless one is named.

        It needs no body. The mirror is unverified from then on, until `enable` and a clean strict validation. With
        something broken it is answered within two seconds.
        """
        body = given(request, PLAIN)
        dry_run = bool(body.get("dry_run"))
        actor = caller_of(request).actor(body.get("reason", ""))
        found = stop(streams_of(body.get("stream")), actor, dry_run=dry_run)
        rows = [_row(one, dry_run) for one in found]
        if all(one.is_stopped for one in found):
            return Response({"dry_run": dry_run, "streams": rows})
        raise _not_stopped(found, rows)


def _row(one: Stopped, dry_run: bool) -> dict[str, Any]:
    data = one.as_data()
    own = {name: data[name] for name in ("pending", "plan", "error")}
    return row(stream_named(one.stream), data["changed"], _sentence(one, dry_run), **own)


def _sentence(one: Stopped, dry_run: bool) -> str:
    if one.done is None:
        return f"not disabled: {one.sentence}"
    if not one.done.changed:
        return "nothing is mirrored already"
    if dry_run:
        return f"writes to the {one.done.authority} store would no longer be noted"
    return f"disabled; writes to the {one.done.authority} store are no longer noted, and the mirror is unverified"


def _not_stopped(found: list[Stopped], rows: list[dict[str, Any]]) -> Problem:
    left = [one for one in found if not one.is_stopped]
    done = ", ".join(one.stream for one in found if one.is_stopped) or "none"
    said = "; ".join(f"{one.stream}: {one.sentence}" for one in left)
    refused = all(one.error is not None and one.error.exit_code == 1 for one in left)
    return Problem(409 if refused else 503, f"Not disabled: {said}. Disabled: {done}.", {"streams": rows})


class ResetView(EmergencyView):
    """POST /actuator/emergency/reset."""

    needs = {"POST": Clearance.ADMIN}

    @operation(
        "emergencyReset",
        TAG,
        {200: Answer(STEPS, "What was done, and what was left.")},
        body=RESET,
        query={"confirm": CONFIRM},
        problems={503: "A part could not be done; `steps` says which and why."},
        example={"reason": "starting over after the outage"},
    )
    def post(self, request: Request) -> Response:
        """Let every stream stand still, and nothing wait that only waits for time to pass.

        It pauses every stream, lets the config service be asked again, ends cool-downs of alerts and pauses between
        their messages, and closes runs whose process died. Outbox, parked keys and audit stay. With something broken
        it is answered within two seconds.
        """
        body = given(request, RESET)
        if request.query_params.get("confirm") != "true":
            raise UsageError("every stream is paused by this; say that it is meant with ?confirm=true")
        found = reset(caller_of(request).actor(body.get("reason", "")))
        if not found.complete:
            missing = "; ".join(f"{step.step}: {step.sentence}" for step in found.steps if not step.done)
            raise Problem(503, f"Not all of it was done: {missing}.", found.as_data())
        return Response(found.as_data())
