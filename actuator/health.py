"""Health in Spring's shape, and probes that say nothing but yes or no.

Anybody may ask for health and is told the status alone; components and details are for viewers.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.db import Error as DatabaseError
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, operation
from actuator.openapi.shapes import Shape, by_name, many, record, ref, text
from actuator.shapes import STATUS
from actuator.view import OperatorView
from dualwrite.access import may_look
from dualwrite.access.permissions import ANYBODY
from dualwrite.exceptions import StoreFailed, StoreUnreachable
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


class OpenView(OperatorView):
    """A view for everybody, which tells viewers more."""

    needs = {"GET": ANYBODY}

    def perform_authentication(self, request: Request) -> None:
        """Whoever cannot be recognised now, as the registry is away, is told what everybody is: that it is away."""
        try:
            super().perform_authentication(request)
        except (StoreUnreachable, StoreFailed, DatabaseError):
            request.user = None  # type: ignore[assignment]  # the settings say that nobody is None

    def shown(self, request: Request, report: Mapping[str, Any], status: Status) -> Response:
        """The report for viewers, its status for everybody."""
        return Response(report if may_look(request) else {"status": status.value}, http_status(status))


def answers(shape: Shape) -> dict[int, Answer]:
    """200, or 503 where something is DOWN or OUT_OF_SERVICE; the same document, for viewers with details."""
    either = {"oneOf": [record(status=STATUS), shape]}
    return {200: Answer(either, "UP or UNKNOWN."), 503: Answer(either, "DOWN or OUT_OF_SERVICE.")}


PARTS = {"status": STATUS, "components": by_name(ref("Component"))}
ALIVE = {200: Answer(record(status=STATUS), "The process answers.")}
READY = record(status=STATUS)
READY_OR_NOT = {200: Answer(READY, "Requests can be answered."), 503: Answer(READY, "They cannot.")}


class HealthView(OpenView):
    """GET /actuator/health: all components."""

    @operation("health", "health", answers(record("", PARTS, groups=many(text()))))
    def get(self, request: Request) -> Response:
        """Status and components; 503 when something is DOWN or OUT_OF_SERVICE."""
        report = run_checks(ALL, within=HEALTH_WITHIN_SECONDS)
        return self.shown(request, {**report.as_data(), "groups": ["liveness", "readiness"]}, report.status)


class ComponentView(OpenView):
    """GET /actuator/health/{component}."""

    @operation("healthOfComponent", "health", answers(ref("Component")))
    def get(self, request: Request, component: str) -> Response:
        """Status and details of one component; 404 for an unknown one."""
        result = run_checks([check_named(component)], within=HEALTH_WITHIN_SECONDS).results[0]
        return self.shown(request, result.as_data(), result.status)


class LivenessView(OpenView):
    """GET /actuator/health/liveness: a database that is away is no reason to restart us."""

    @operation("liveness", "health", ALIVE)
    def get(self, request: Request) -> Response:
        """Whether the process answers."""
        return Response({"status": Status.UP.value})


class ReadinessView(OpenView):
    """GET /actuator/health/readiness: whether requests can be answered."""

    @operation("readiness", "health", answers(record("", PARTS)))
    def get(self, request: Request) -> Response:
        """Status and components of what no request can do without."""
        report = run_checks(readiness_checks())
        return self.shown(request, report.as_data(), report.status)


class LivezView(LivenessView):
    """GET /livez, for everybody."""

    authentication_classes = ()

    @operation("livez", "health", ALIVE)
    def get(self, request: Request) -> Response:
        """Whether the process answers."""
        return super().get(request)


class ReadyzView(OperatorView):
    """GET /readyz, for everybody: the status alone, no older than a second."""

    authentication_classes = ()
    needs = {"GET": ANYBODY}
    latest = readiness()

    @operation("readyz", "health", READY_OR_NOT)
    def get(self, request: Request) -> Response:
        """Status without details."""
        status = self.latest.get().status
        return Response({"status": status.value}, http_status(status))


def http_status(status: Status) -> HTTPStatus:
    """200 or 503."""
    return HTTPStatus.OK if status.serves else HTTPStatus.SERVICE_UNAVAILABLE
