"""How the components were: what the periodic looks found, over an hour, a day and thirty days."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, operation
from actuator.openapi.shapes import anything, by_name, maybe, moment, record, text
from actuator.shapes import STATUS
from actuator.view import OperatorView
from dualwrite.monitoring.history import history

HISTORY = record(
    at=moment(),
    components=by_name(
        record(
            status=STATUS,
            at=moment("When it was looked at last."),
            since=moment("Since when it is so."),
            error=text(),
            windows=by_name(maybe(anything()), "Over 1h, 24h and 30d: seconds up, down and blind, availability."),
            budget=maybe(anything("What is left of the errors that the objective allows.")),
        )
    ),
)


class MonitoringStatusView(OperatorView):
    """GET /actuator/monitoring/status: what `run_health_checks --history --json` prints."""

    @operation("monitoringStatus", "monitoring", {200: Answer(HISTORY, "By component.")})
    def get(self, request: Request) -> Response:
        """Last look, availability and error budget of each component."""
        now = timezone.now()
        return Response({"at": now, "components": history(now)})
