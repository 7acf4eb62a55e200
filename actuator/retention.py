"""Retention over HTTP: how it stands, what would go, one run, a way to stop it, carrying it out."""

from typing import Any

from django.urls import reverse
from rest_framework.exceptions import NotFound
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_202_ACCEPTED

from actuator.view import OperatorView
from dualwrite.access import caller_of
from dualwrite.background import send
from dualwrite.exceptions import UsageError
from dualwrite.management import retentions
from dualwrite.models import RetentionRun
from dualwrite.monitoring.retention import standing
from dualwrite.retention.run import Order, cancel, executable
from dualwrite.retention.several import enabled, run_each
from dualwrite.stages import Store
from dualwrite.stores import reaching

TASK = "dualwrite.retention.run_policy"
#: Name → type of what a body may have.
RUN: dict[str, type] = {"dry_run": bool, "policy": str, "reason": str, "force": bool}
CANCEL: dict[str, type] = {"reason": str}


class RetentionStatusView(OperatorView):
    """GET /actuator/retention/status."""

    def get(self, request: Request) -> Response:
        """Policies with period, approval, last and next run; backups with the last drill; holds."""
        return Response(standing().as_data())


class RetentionRunView(OperatorView):
    """POST /actuator/retention/run."""

    parser_classes = (JSONParser,)

    def post(self, request: Request) -> Response:
        """What would go by one policy, or by every enabled one: what `run_retention --json` prints.

        With `dry_run` false the worker carries it out: 202, and where to look.
        """
        asked = body(request, RUN)
        policy: str | None = asked.get("policy")
        order = Order(
            caller_of(request).actor(asked.get("reason", "")),
            execute=not asked.get("dry_run", True),
            force=asked.get("force", False),
        )
        if order.execute:
            return _carried_out(policy, order)
        return Response(retentions.told_data(run_each(policy, order), order))


def _carried_out(policy: str | None, order: Order) -> Response:
    """Every policy is looked at before the first is handed to the worker: all of them, or none."""
    if order.force and not order.actor.reason:
        raise UsageError("force needs a reason")
    names = enabled() if policy is None else [policy]
    for name in names:
        executable(name)
    own = {"actor": order.actor.name, "reason": order.actor.reason, "force": order.force}
    for name in names:
        send(TASK, f"manage.py run_retention --execute --policy {name}", policy=name, **own)
    answer = {"dry_run": False, "policies": [{"policy": name, "status": "queued"} for name in names]}
    return Response(answer, status=HTTP_202_ACCEPTED, headers={"Location": reverse("retention-status")})


class OneRunView(OperatorView):
    """GET /actuator/retention/runs/{id}."""

    def get(self, request: Request, number: int) -> Response:
        """The run as the command tells it, and how far it is."""
        run = _run(number)
        own = {"actor": run.actor, "reason": run.reason, "forced": run.forced, "progress": run.progress}
        times = {"started_at": run.started_at, "finished_at": run.finished_at}
        return Response({**retentions.as_data(run), **own, **times})


class CancelView(OperatorView):
    """POST /actuator/retention/runs/{id}/cancel."""

    parser_classes = (JSONParser,)

    def post(self, request: Request, number: int) -> Response:
        """Ask it to stop, which it does after the batch it is at; 409 when it has ended."""
        asked = body(request, CANCEL)
        _run(number)
        return Response(retentions.as_data(cancel(number, caller_of(request).actor(asked.get("reason", "")))))


def _run(number: int) -> RetentionRun:
    with reaching(Store.REGISTRY):
        found = RetentionRun.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(f"there is no retention run {number}")
    return found


def body(request: Request, valid: dict[str, type]) -> dict[str, Any]:
    """What was sent, empty where nothing was; raises UsageError for anything but an object of what is valid."""
    sent = request.data
    if not isinstance(sent, dict):
        raise UsageError(f"the body is no JSON object; valid: {', '.join(valid)}")
    for name, value in sent.items():
        if name not in valid:
            raise UsageError(f"{name!r} is not known; valid: {', '.join(valid)}")
        if not isinstance(value, valid[name]) or value == "":
            raise UsageError(f"{name} is to be {_WORDS[valid[name]]}")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{name} has a character that no database takes")
    return sent


_WORDS = {bool: "true or false", str: "text that is not empty"}
