"""What runs here."""

import platform
from typing import Any

import django
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.health import OpenView
from actuator.openapi import Answer, operation
from actuator.openapi.shapes import by_name, maybe, record, text
from dualwrite.access import may_look
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.checks.store import StoreCheck
from dualwrite.monitoring.health import Report, run_checks

NAME = "instrument-registry"
VERSION = "0.1.0"
STORE_CHECKS = tuple(check for check in ALL if isinstance(check, StoreCheck))
VERSIONS = record(python=text(), django=text(), postgresql=by_name(maybe(text()), "Of each store's server."))
INFO = record(
    optional=("versions",),
    app=record(optional=("version",), name=text(), version=text()),
    versions=VERSIONS,
)


class InfoView(OpenView):
    """GET /actuator/info."""

    @operation("info", "status", {200: Answer(INFO, "The name for everybody; versions for viewers.")})
    def get(self, request: Request) -> Response:
        """What runs here; of a server that is away the version is null."""
        if not may_look(request):
            return Response({"app": {"name": NAME}})
        found = versions(run_checks(STORE_CHECKS))
        return Response({"app": {"name": NAME, "version": VERSION}, "versions": found})


def versions(report: Report) -> dict[str, Any]:
    """Versions of Python, Django and of both stores' servers as the checks found them."""
    found = {result.name: result.details.get("version") for result in report.results}
    servers = {check.store.value: found.get(check.name) for check in STORE_CHECKS}
    return {"python": platform.python_version(), "django": django.get_version(), "postgresql": servers}
