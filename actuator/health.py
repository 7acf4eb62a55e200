"""Health in Spring's shape, and probes that say nothing but yes or no."""

from http import HTTPStatus

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.view import OperatorView
from dualwrite.monitoring.checks import ALL, check_named, readiness_checks
from dualwrite.monitoring.health import Report, run_checks
from dualwrite.monitoring.kept import Kept
from dualwrite.monitoring.status import Status

#: Anybody may ask for readiness, so asking often must not mean asking the database often.
READINESS_KEPT_SECONDS = 1.0
#: Whoever asks for health is answered within a second, whatever hangs; the command and the periodic look wait longer.
HEALTH_WITHIN_SECONDS = 0.8


def readiness() -> Kept[Report]:
    """The report on readiness, kept for a moment."""
    return Kept(lambda: run_checks(readiness_checks()), READINESS_KEPT_SECONDS)


class HealthView(OperatorView):
    """GET /actuator/health: all components."""

    def get(self, request: Request) -> Response:
        """Status and components; 503 when something is DOWN or OUT_OF_SERVICE."""
        report = run_checks(ALL, within=HEALTH_WITHIN_SECONDS)
        return Response({**report.as_data(), "groups": ["liveness", "readiness"]}, http_status(report.status))


class ComponentView(OperatorView):
    """GET /actuator/health/{component}."""

    def get(self, request: Request, component: str) -> Response:
        """Status and details of one component; 404 for an unknown one."""
        result = run_checks([check_named(component)], within=HEALTH_WITHIN_SECONDS).results[0]
        return Response(result.as_data(), http_status(result.status))


class LivenessView(OperatorView):
    """GET /actuator/health/liveness: a database that is away is no reason to restart us."""

    def get(self, request: Request) -> Response:
        """Always UP."""
        return Response({"status": Status.UP.value})


class ReadinessView(OperatorView):
    """GET /actuator/health/readiness: whether requests can be answered."""

    def get(self, request: Request) -> Response:
        """Status and components of what no request can do without."""
        report = run_checks(readiness_checks())
        return Response(report.as_data(), http_status(report.status))


class LivezView(LivenessView):
    """GET /livez, for everybody."""

    permission_classes = (AllowAny,)


class ReadyzView(OperatorView):
    """GET /readyz, for everybody: the status alone, no older than a second."""

    permission_classes = (AllowAny,)
    latest = readiness()

    def get(self, request: Request) -> Response:
        """Status without details."""
        status = self.latest.get().status
        return Response({"status": status.value}, http_status(status))


def http_status(status: Status) -> HTTPStatus:
    """200 or 503."""
    return HTTPStatus.OK if status.serves else HTTPStatus.SERVICE_UNAVAILABLE
