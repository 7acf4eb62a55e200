"""What fires, and what people do about it."""

from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import count, many, maybe, moment, record, ref, text, words, yes_or_no
from actuator.shapes import REASON
from actuator.view import OperatorView
from dualwrite.access import caller_of
from dualwrite.management.moments import duration
from dualwrite.monitoring.alerts.operate import acknowledge, silence
from dualwrite.monitoring.alerts.report import as_data, report

TAG = "monitoring"
REPORT = record(
    firing=count("How many fire and are not silenced."),
    evaluated_at=maybe(moment()),
    stale=yes_or_no("Nobody evaluated lately, so nothing is known."),
    rules=count("Rules that are switched on."),
    alerts=many(ref("Alert")),
    unknown=many(record(measure=text(), subject=text(), why=text()), "What could not be measured."),
    failing_channels=many(record(name=text(), failures=count(), error=text())),
)
ACKNOWLEDGE = record(reason=REASON)
SILENCE = record("", {"for": words("So long, such as 30m, 2h or 1d; 30 days at most.", 10), "reason": REASON})
CHANGED = {200: Answer(record(alert=ref("Alert")), "The alert as it is now.")}
REFUSED = {409: "It does not fire, or has just changed."}


class AlertsView(OperatorView):
    """GET /actuator/monitoring/alerts: what `alerts --json` prints; nothing is measured for it."""

    @operation("alerts", TAG, {200: Answer(REPORT, "Open alerts and what is unknown.")})
    def get(self, request: Request) -> Response:
        """Open alerts, what is unknown, channels that fail, and since when nobody evaluates."""
        return Response(report().as_data())


class AcknowledgeView(OperatorView):
    """POST /actuator/monitoring/alerts/{id}/acknowledge."""

    @operation("acknowledgeAlert", TAG, CHANGED, body=ACKNOWLEDGE, problems=REFUSED, example={"reason": "I see to it"})
    def post(self, request: Request, number: int) -> Response:
        """Say that somebody sees to it; it stays so until it is over."""
        body = given(request, ACKNOWLEDGE)
        return Response({"alert": as_data(acknowledge(number, caller_of(request).actor(body["reason"])))})


class SilenceView(OperatorView):
    """POST /actuator/monitoring/alerts/{id}/silence."""

    @operation(
        "silenceAlert", TAG, CHANGED, body=SILENCE, problems=REFUSED, example={"for": "2h", "reason": "planned work"}
    )
    def post(self, request: Request, number: int) -> Response:
        """Tell nobody for so long; it fires again then, unless it is over."""
        body = given(request, SILENCE)
        lasts = duration("for", body["for"])
        return Response({"alert": as_data(silence(number, lasts, caller_of(request).actor(body["reason"])))})
