"""What this API offers."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from actuator.view import OperatorView

#: Relation → name of the address in urls.py.
LINKS = {
    "self": "actuator",
    "health": "health",
    "health-liveness": "health-liveness",
    "health-readiness": "health-readiness",
    "info": "info",
    "status": "status",
    "dual-write-status": "dual-write-status",
    "retention-status": "retention-status",
    "monitoring-status": "monitoring-status",
    "monitoring-alerts": "monitoring-alerts",
    "prometheus": "prometheus",
}


class IndexView(OperatorView):
    """GET /actuator."""

    def get(self, request: Request) -> Response:
        """The links."""
        links: dict[str, dict[str, Any]] = {
            relation: {"href": reverse(name, request=request)} for relation, name in LINKS.items()
        }
        links["health-component"] = {"href": f"{links['health']['href']}/{{component}}", "templated": True}
        runs = reverse("retention-status", request=request).removesuffix("status")
        links["retention-one-run"] = {"href": f"{runs}runs/{{id}}", "templated": True}
        return Response({"_links": links})
