"""What the endpoints of the verbs do: call the functions that command and admin call, and tell of each stream."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.problems import problem_of
from dualwrite.access import caller_of
from dualwrite.access.caller import FORCE
from dualwrite.control.advance import advance, rollback
from dualwrite.control.asked import Asked
from dualwrite.control.backfill import backfill
from dualwrite.control.enable import enable
from dualwrite.control.parked import parked_count, redrive
from dualwrite.control.pause import pause, resume
from dualwrite.control.plan import pausing, resuming
from dualwrite.control.step import GatesClosed, Moved
from dualwrite.exceptions import DualWriteError
from dualwrite.management.base import mirrored_streams
from dualwrite.stages import Stage
from dualwrite.stream import Stream, stream_named
from dualwrite.switch import Actor

NOTHING_MORE: dict[str, Any] = {
    "error": None,
    "plan": [],
    "pending": [],
    "blocked": [],
    "noted": None,
    "before": None,
    "after": None,
    "gates": [],
    "stall_seconds": None,
    "transition": None,
}


class Asking(NamedTuple):
    """What was asked for, by whom, when, and whether nothing is to be done."""

    actor: Actor
    at: datetime
    body: Mapping[str, Any]

    @property
    def force(self) -> bool:
        """Whether closed gates are to be overridden."""
        return bool(self.body.get("force"))

    @property
    def dry_run(self) -> bool:
        """Whether it is only to be told."""
        return bool(self.body.get("dry_run"))

    @classmethod
    def of(cls, request: Request, body: Mapping[str, Any]) -> "Asking":
        """From the request; raises PermissionDenied for a user who may not force."""
        caller = caller_of(request)
        if body.get("force") and not caller.holds(FORCE):
            raise PermissionDenied(f"Forcing needs the permission {FORCE}, which {caller.name} has not.")
        return cls(caller.actor(body.get("reason", "")), timezone.now(), body)


Verb = Callable[[Stream, Asking], dict[str, Any]]


def row(stream: Stream, changed: bool | None, sentence: str, **more: Any) -> dict[str, Any]:
    """What was done to a stream, in the shape of all verbs."""
    return {"stream": stream.name, "changed": changed, "sentence": sentence, **NOTHING_MORE, **more}


def on_one(verb: Verb, asking: Asking) -> Response:
    """Do it to the stream that is named; raises what refuses it."""
    stream = stream_named(asking.body["stream"])
    try:
        return answer(asking, [verb(stream, asking)])
    except GatesClosed as exc:
        raise problem_of(exc, {"streams": [_moved(stream, exc.moved)]}) from exc


def on_each(verb: Verb, asking: Asking) -> Response:
    """Do it to the stream that is named, else to each one that is mirrored; raises what refuses all of them.

    One that is refused keeps no other one from it.
    """
    streams, left = mirrored_streams({"stream": asking.body.get("stream")})
    rows = [row(stream_named(name), False, why) for name, why in left.items()]
    refused: list[DualWriteError] = []
    for stream in streams:
        try:
            rows.append(verb(stream, asking))
        except DualWriteError as exc:
            refused.append(exc)
            rows.append(row(stream, None, "not done", error=str(exc)))
    if refused and len(refused) == len(streams):
        raise problem_of(refused[0], {"streams": rows}) if len(streams) > 1 else refused[0]
    return answer(asking, rows)


def answer(asking: Asking, rows: list[dict[str, Any]]) -> Response:
    """The answer of all verbs."""
    return Response({"dry_run": asking.dry_run, "streams": rows})


def enabled(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`enable`."""
    done = enable(stream, asking.actor, force=asking.force, dry_run=asking.dry_run)
    sentence = done.preview.sentence() if done.preview else "enabled already"
    return row(stream, done.changed, sentence, noted=done.noted, blocked=list(done.blocked))


def paused(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`pause`."""
    changed = pause(stream, asking.actor, dry_run=asking.dry_run)
    return _relaying(stream, changed, ("paused", "paused already"), pausing(stream.name), asking)


def resumed(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`resume`."""
    changed = resume(stream, asking.actor, force=asking.force, dry_run=asking.dry_run)
    plan = resuming(stream.name, force=asking.force)
    return _relaying(stream, changed, ("resumed", "was not paused"), plan, asking)


def _relaying(stream: Stream, changed: bool, words: tuple[str, str], plan: list[str], asking: Asking) -> dict[str, Any]:
    if asking.dry_run and changed:
        return row(stream, changed, f"would be {words[0]}", plan=plan)
    return row(stream, changed, words[0] if changed else words[1])


def backfilled(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`backfill`."""
    done = backfill(stream, asking.actor, dry_run=asking.dry_run)
    sentence = done.preview.sentence() if done.preview else f"{done.noted} keys noted"
    return row(stream, bool(done.noted), sentence, noted=done.noted)


def redriven(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`redrive`."""
    if asking.dry_run:
        waiting = parked_count(stream)
        return row(stream, bool(waiting), f"{waiting} parked keys would be noted again", noted=0)
    noted = redrive(stream, asking.actor, asking.body.get("keys"))
    return row(stream, bool(noted), f"{noted} keys noted again", noted=noted)


def advanced(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`advance`."""
    return _moved(stream, advance(stream, asking.actor, **_way(asking)))


def rolled_back(stream: Stream, asking: Asking) -> dict[str, Any]:
    """`rollback`."""
    return _moved(stream, rollback(stream, asking.actor, **_way(asking)))


def _way(asking: Asking) -> dict[str, Any]:
    to, seen = asking.body.get("to"), asking.body.get("from")
    asked = Asked(Stage(seen) if seen else None, asking.at)
    return {"to": Stage(to) if to else None, "asked": asked, "force": asking.force, "dry_run": asking.dry_run}


def _moved(stream: Stream, moved: Moved) -> dict[str, Any]:
    found = asdict(moved)
    sentence = f"{moved.before} → {moved.after}"
    if not moved.changed:
        sentence += ": refused" if moved.blocked else ": so already, or a dry run"
    names = ("before", "after", "plan", "gates", "stall_seconds", "transition")
    own = {name: found[name] for name in names}
    return row(stream, moved.changed, sentence, **own, blocked=list(moved.blocked))
