"""The streams over HTTP: how they stand, what is parked, and every verb but `disable`, which is an emergency's."""

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from actuator import verbs
from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import Shape, many, maybe, record, ref, words, yes_or_no
from actuator.shapes import REASON, STAGE, VERB_ANSWER
from actuator.verbs import Asking, on_each, on_one
from actuator.view import OperatorView
from dualwrite.control.parked import parked
from dualwrite.monitoring.streams import stream_rows
from dualwrite.stream import Stream, all_streams, stream_named

STREAM = words("Which stream; every one that is mirrored unless said.")
DRY_RUN = yes_or_no("Only tell what would be done.")
FORCE = yes_or_no("Override the gates that may be; needs a reason.")


def body_of(more: Mapping[str, Shape] | None = None, *, force: bool = True, needed: tuple[str, ...] = ()) -> Shape:
    """The body of a verb; where force is of no use, only that it is not wanted may be said."""
    forcing = FORCE if force else {"const": False, "description": "Of no use here."}
    fields = {"stream": maybe(STREAM), "reason": REASON, "dry_run": DRY_RUN, "force": forcing, **(more or {})}
    if "stream" in needed:
        fields["stream"] = words("Which stream.")
    return record("", fields, optional=tuple(name for name in fields if name not in needed))


PLAIN, FORCED = body_of(force=False), body_of()
KEYS = maybe(many(words("A key, as `parked` shows it.", 10_000), "All unless said."))
REDRIVE = body_of({"keys": KEYS}, force=False)
MOVE = body_of(
    {
        "to": maybe({**STAGE, "description": "The stage to go to; one further, or back, unless said."}),
        "from": maybe({**STAGE, "description": "Refuse it unless it is at this stage."}),
    },
    needed=("stream",),
)
DONE = {200: Answer(VERB_ANSWER, "What was done to each stream, or of a dry run would be.")}
REFUSED = {409: "The engine refuses it: a gate is closed, another verb is under way, or it is of no use at this stage."}
TAG = "dual write"


class StatusView(OperatorView):
    """GET /actuator/dual-write/status: what `dualwrite status --json` prints."""

    @operation("dualWriteStatus", TAG, {200: Answer(record(streams=many(ref("Stream"))), "A row for each stream.")})
    def get(self, request: Request) -> Response:
        """How each stream stands.

        A store that cannot be asked is said under `blocked_by`, with what mends it; what it would tell is null.
        """
        return Response({"streams": stream_rows(all_streams())})


class ParkedView(OperatorView):
    """GET /actuator/dual-write/parked: what `dualwrite parked --json` prints."""

    @operation(
        "parkedKeys",
        TAG,
        {200: Answer(record(parked=many(ref("Parked"))), "The keys, longest parked first, 100 of a stream at most.")},
        query={"stream": words("Only of this stream.")},
    )
    def get(self, request: Request) -> Response:
        """Keys that could not be applied, with their error and record."""
        name = request.query_params.get("stream")
        streams = streams_of(name)
        return Response({"parked": [_parked(row) for stream in streams for row in parked(stream)]})


def _parked(row: Any) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in ("stream", "key", "error", "attempts", "next_attempt_at", "record")}
    return {**own, "parked_at": row.first_parked_at}


class EnableView(OperatorView):
    """POST /actuator/dual-write/enable."""

    @operation("enable", TAG, DONE, body=FORCED, problems=REFUSED, example={"stream": "index_memberships"})
    def post(self, request: Request) -> Response:
        """Let the other store follow: note every write, and every key once.

        `off` → `dualwrite`, or the end of a `disable`. It answers when every key is noted, which takes a while where
        there are millions.
        """
        return on_each(verbs.enabled, Asking.of(request, given(request, FORCED)))


class PauseView(OperatorView):
    """POST /actuator/dual-write/pause."""

    @operation("pause", TAG, DONE, body=PLAIN, problems=REFUSED, example={"stream": "index_memberships"})
    def post(self, request: Request) -> Response:
        """Let the relay stand still; writes go on being noted, so nothing is lost."""
        return on_each(verbs.paused, Asking.of(request, given(request, PLAIN)))


class ResumeView(OperatorView):
    """POST /actuator/dual-write/resume."""

    @operation("resume", TAG, DONE, body=FORCED, problems=REFUSED, example={"stream": "index_memberships"})
    def post(self, request: Request) -> Response:
        """Let the relay go on.

        A stream that the brake holds needs `force` and a reason: the deletes it held back are then made.
        """
        return on_each(verbs.resumed, Asking.of(request, given(request, FORCED)))


class BackfillView(OperatorView):
    """POST /actuator/dual-write/backfill."""

    @operation("backfill", TAG, DONE, body=PLAIN, problems=REFUSED, example={"dry_run": True})
    def post(self, request: Request) -> Response:
        """Note every key of both stores once more, so that the relay makes them equal."""
        return on_each(verbs.backfilled, Asking.of(request, given(request, PLAIN)))


class RedriveView(OperatorView):
    """POST /actuator/dual-write/redrive."""

    @operation("redrive", TAG, DONE, body=REDRIVE, problems=REFUSED, example={"stream": "index_memberships"})
    def post(self, request: Request) -> Response:
        """Send parked keys again: all, or of a stream those that are given."""
        body = given(request, REDRIVE)
        act = on_one if body.get("stream") else on_each
        return act(verbs.redriven, Asking.of(request, body))


class AdvanceView(OperatorView):
    """POST /actuator/dual-write/advance."""

    @operation(
        "advance", TAG, DONE, body=MOVE, problems=REFUSED, example={"stream": "index_memberships", "dry_run": True}
    )
    def post(self, request: Request) -> Response:
        """Go one stage forward, through its gates.

        With `dry_run` the plan and what blocks it. Going to `complete` needs a reason. A closed gate is a 409, whose
        `streams` have every gate with its evidence.
        """
        return on_one(verbs.advanced, Asking.of(request, given(request, MOVE)))


class RollbackView(OperatorView):
    """POST /actuator/dual-write/rollback."""

    @operation(
        "rollback",
        TAG,
        DONE,
        body=MOVE,
        problems=REFUSED,
        example={"stream": "index_memberships", "reason": "the desk reports wrong weights"},
    )
    def post(self, request: Request) -> Response:
        """Go one stage back, or to an earlier one; needs a reason, unless it is a dry run."""
        return on_one(verbs.rolled_back, Asking.of(request, given(request, MOVE)))


def streams_of(name: str | None) -> list[Stream]:
    """The stream of that name, else all."""
    return list(all_streams()) if name is None else [stream_named(name)]
