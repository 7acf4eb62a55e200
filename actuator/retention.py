"""Retention over HTTP: how it stands, what would go, one run, a way to stop it, carrying it out by the worker."""

from typing import Any

from django.urls import reverse
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import anything, count, many, maybe, moment, record, ref, text, words, yes_or_no
from actuator.shapes import REASON, REFUSED_POLICY
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
from dualwrite.access import Caller, caller_of
from dualwrite.access.caller import OPERATE_RETENTION
from dualwrite.access.idempotency import answered_once
from dualwrite.background import send
from dualwrite.exceptions import UsageError
from dualwrite.management import retentions
from dualwrite.models import RetentionRun, Run
from dualwrite.monitoring.retention import standing
from dualwrite.retention.run import Order, cancel, executable
from dualwrite.retention.several import Told, enabled, run_each
from dualwrite.retention.subject import Subject
from dualwrite.stages import Store
from dualwrite.stores import reaching

TASK, ONE, STATUS, TAG = "dualwrite.retention.run_policy", "retention-one-run", "retention-status", "retention"
RUN = record(
    optional=("dry_run", "policy", "reason", "force"),
    dry_run=yes_or_no("Only tell what would go, as is done unless said otherwise."),
    policy=words("Which policy; every enabled one unless said."),
    reason=REASON,
    force=yes_or_no("However many rows; needs a reason."),
)
CANCEL = record(optional=("reason",), reason=REASON)
TOLD = record(
    dry_run=yes_or_no(),
    policies=many({"oneOf": [ref("RetentionRun"), REFUSED_POLICY]}, "A run of each policy, or what refused it."),
)
LAST = record(
    run=count(),
    status=text(),
    began_at=moment(),
    age_seconds={"type": "integer"},
    rows=maybe(count()),
    removed=maybe(count()),
    sentence=text(),
)
POLICY = record(
    policy=text(),
    table=text(),
    action=text(),
    enabled=yes_or_no(),
    days=maybe(count("For how long rows stay; null where it cannot be told.")),
    approved=yes_or_no("Whether a person approved it as it is."),
    approval=text(),
    wrong=maybe(text("Why it cannot be carried out.")),
    last_run=maybe(LAST),
    last_dry_run=maybe(LAST),
    next_run_at=maybe(moment()),
)
STANDING = record(
    enabled=yes_or_no("Whether the schedule does anything."),
    next_run_at=maybe(moment()),
    policies=many(POLICY),
    backups=record(
        count=count(),
        rows=count(),
        bytes=count(),
        broken=many(record(backup=count(), location=text(), finding=text())),
        untried_since=maybe(moment()),
        last_drill=maybe(record(run=count(), status=text(), at=moment(), sentence=text())),
    ),
    holds=many(anything("Rows that nothing may remove.")),
)


class RetentionStatusView(OperatorView):
    """GET /actuator/retention/status."""

    @operation("retentionStatus", TAG, {200: Answer(STANDING, "How it stands.")})
    def get(self, request: Request) -> Response:
        """Policies with period, approval, last and next run; backups with the last drill; holds."""
        return Response(standing().as_data())


class RetentionRunView(OperatorView):
    """POST /actuator/retention/run."""

    @operation(
        "runRetention",
        TAG,
        {200: Answer(TOLD, "What would go; or what went, where that was waited for."), 202: QUEUED},
        body=RUN,
        example={"policy": "audit_log"},
        headers={**PREFER, **IDEMPOTENCY},
        problems=PROBLEMS,
    )
    def post(self, request: Request) -> Response:
        """What would go by one policy, or by every enabled one; with `dry_run` false it goes.

        A dry run is answered at once, as `run_retention --json` prints it. Else the worker does it: every policy is
        looked at before the first is begun, all of them or none.
        """
        asked = given(request, RUN)
        wait_of(request)
        return answered_once(request, lambda: _run_it(request, asked))


def _run_it(request: Request, asked: dict[str, Any]) -> Response:
    caller = caller_of(request)
    order = Order(
        caller.actor(asked.get("reason", "")), execute=not asked.get("dry_run", True), force=asked.get("force", False)
    )
    policy: str | None = asked.get("policy")
    if order.force and not order.actor.reason:
        raise UsageError("force needs a reason")
    if order.execute:
        return _carried_out(request, caller, policy, order)
    return Response(retentions.told_data(run_each(policy, order), order))


def _carried_out(request: Request, caller: Caller, policy: str | None, order: Order) -> Response:
    if not caller.holds(OPERATE_RETENTION):
        raise PermissionDenied(f"Removing rows needs the permission {OPERATE_RETENTION}, which {caller.name} has not.")
    names = enabled() if policy is None else [policy]
    policies = [executable(name) for name in names]
    subjects: dict[str, Subject] = {one.subject.name: one.subject for one in policies}
    with one_at_a_time(RetentionRun, list(subjects.values()), ONE):
        after = last(RetentionRun)
        own = {"actor": order.actor.name, "reason": order.actor.reason, "force": order.force}
        for name in names:
            send(TASK, f"manage.py run_retention --execute --policy {name}", policy=name, **own)
        rows = RetentionRun.objects.filter(dry_run=False)
        ordered = Ordered.of([Wanted(name, rows.filter(policy=name), ONE) for name in names], after)
    return answered(request, ordered, lambda ended: _went(ended, order), reverse(STATUS))


def _went(ended: list[Run], order: Order) -> dict[str, Any]:
    return retentions.told_data(Told([run for run in ended if isinstance(run, RetentionRun)]), order)


class OneRunView(OperatorView):
    """GET /actuator/retention/runs/{id}."""

    @operation("retentionRun", TAG, {200: Answer(ref("RetentionRun"), "The run, as far as it is.")})
    def get(self, request: Request, number: int) -> Response:
        """One run as the command tells it, and how far it is."""
        run = _run(number)
        own = {"actor": run.actor, "reason": run.reason, "forced": run.forced, "progress": run.progress}
        times = {"started_at": run.started_at, "finished_at": run.finished_at}
        return Response({**retentions.as_data(run), **own, **times})


class CancelView(OperatorView):
    """POST /actuator/retention/runs/{id}/cancel."""

    @operation(
        "cancelRetention",
        TAG,
        {200: Answer(ref("RetentionRun"), "The run as it is now.")},
        body=CANCEL,
        example={"reason": "the wrong table"},
        problems={409: "It has ended already."},
    )
    def post(self, request: Request, number: int) -> Response:
        """Ask a run to stop, which it does after the batch it is at; the next one goes on there."""
        asked = given(request, CANCEL)
        _run(number)
        return Response(retentions.as_data(cancel(number, caller_of(request).actor(asked.get("reason", "")))))


def _run(number: int) -> RetentionRun:
    with reaching(Store.REGISTRY):
        found = RetentionRun.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(f"there is no retention run {number}")
    return found
