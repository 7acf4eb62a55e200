"""What fires."""

from rest_framework.request import Request
from rest_framework.response import Response

from actuator.view import OperatorView
from dualwrite.monitoring.alerts.report import report


class AlertsView(OperatorView):
    """GET /actuator/monitoring/alerts: what `alerts --json` prints; nothing is measured for it."""

    def get(self, request: Request) -> Response:
        """Open alerts, what is unknown, channels that fail, and since when nobody evaluates."""
        return Response(report().as_data())
