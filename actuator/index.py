"""What this API offers."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from actuator.openapi import Answer, operation
from actuator.openapi.shapes import by_name, record, text, yes_or_no
from actuator.view import OperatorView

#: Relation → name of the address in urls.py, and the parameter of its path.
LINKS: dict[str, str] = {
    "actuator": "self",
    **{
        name: name
        for name in (
            "health",
            "health-liveness",
            "health-readiness",
            "info",
            "status",
            "dual-write-status",
            "dual-write-parked",
            "dual-write-enable",
            "dual-write-disable",
            "dual-write-pause",
            "dual-write-resume",
            "dual-write-advance",
            "dual-write-rollback",
            "dual-write-backfill",
            "dual-write-redrive",
            "validation-status",
            "validation-run",
            "retention-status",
            "retention-run",
            "monitoring-status",
            "monitoring-alerts",
            "config",
            "emergency-reset",
            "prometheus",
            "api-schema",
            "api-docs",
        )
    },
}
TEMPLATED = {
    "health-component": ("health", "/{component}"),
    "validation-result": ("validation-status", "/../result/{id}"),
    "retention-one-run": ("retention-status", "/../runs/{id}"),
    "config-parameter": ("config", "/{name}"),
    "alert-acknowledge": ("monitoring-alerts", "/{id}/acknowledge"),
    "alert-silence": ("monitoring-alerts", "/{id}/silence"),
}
INDEX = record(_links=by_name(record(optional=("templated",), href=text(), templated=yes_or_no())))


class IndexView(OperatorView):
    """GET /actuator."""

    @operation("index", "status", {200: Answer(INDEX, "Links, as Spring Boot's actuator has them.")})
    def get(self, request: Request) -> Response:
        """Every endpoint there is."""
        links: dict[str, dict[str, Any]] = {
            relation: {"href": reverse(name, request=request)} for name, relation in LINKS.items()
        }
        for relation, (beside, more) in TEMPLATED.items():
            links[relation] = {"href": _joined(links[beside]["href"], more), "templated": True}
        return Response({"_links": links})


def _joined(address: str, more: str) -> str:
    """`/..` stands for one part less."""
    while more.startswith("/.."):
        address, more = address.rpartition("/")[0], more.removeprefix("/..")
    return f"{address}{more}"
