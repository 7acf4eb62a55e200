"""How the components were: what the periodic looks found, over an hour, a day and thirty days."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.view import OperatorView
from dualwrite.monitoring.history import history


class MonitoringStatusView(OperatorView):
    """GET /actuator/monitoring/status: what `run_health_checks --history --json` prints."""

    def get(self, request: Request) -> Response:
        """Last look, availability and error budget of each component; 503 when the registry is away."""
        now = timezone.now()
        return Response({"at": now, "components": history(now)})
