"""The report an operator opens first."""

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.info import NAME, VERSION, VERSIONS, versions
from actuator.openapi import Answer, operation
from actuator.openapi.shapes import by_name, count, many, maybe, moment, one_of, record, ref, text
from actuator.shapes import STATUS
from actuator.view import OperatorView
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.overview import Overview, overview
from dualwrite.monitoring.services import SERVICES
from dualwrite.stream import all_streams

SOURCES = ("config-service", "override", "environment")
SERVICE = record(
    status=STATUS,
    last_run=maybe(record(at=moment(), verdict=text(), sentence=text())),
    next_run_at=maybe(moment()),
    every=text("How often the schedule runs it."),
)
REPORT = record(
    status=STATUS,
    at=moment(),
    problems=many(record(where=text(), why=text(), next=text("The next command or step."))),
    services=record("", dict.fromkeys(SERVICES, SERVICE)),
    components=by_name(ref("Component")),
    streams=many(ref("Stream")),
    half_done=many(record(stream=text(), what=text())),
    alerts=record(firing=count(), open=many(ref("Alert"))),
    configuration=record(
        config_service=maybe(ref("ConfigService")),
        changed=many(record(name=text(), value=maybe(text()), source=maybe(one_of(SOURCES)))),
        faults=many(text(), "What does not count, and why."),
    ),
    app=record(name=text(), version=text()),
    versions=VERSIONS,
)


class StatusView(OperatorView):
    """GET /actuator/status: always 200, within seconds, whatever is away."""

    @operation("status", "status", {200: Answer(REPORT, "The report; always 200, within seconds, whatever is away.")})
    def get(self, request: Request) -> Response:
        """The page to open first: what is wrong and what to do next, then how everything is.

        Services with their last and next run, components, streams with authority, lag, pending and parked, what is
        half-done, alerts, parameters that are not the default, versions.
        """
        found = overview(ALL, all_streams())
        return Response(told(found))


def told(found: Overview) -> dict[str, Any]:
    """The report as JSON."""
    firing = sum(alert["state"] in ("firing", "acknowledged") for alert in found.alerts)
    return {
        **found.report.as_data(),
        "at": timezone.now(),
        "problems": [vars(problem) for problem in found.problems],
        "services": found.services,
        "streams": found.streams,
        "half_done": found.half_done,
        "alerts": {"firing": firing, "open": list(found.alerts)},
        "configuration": _configuration(found),
        "app": {"name": NAME, "version": VERSION},
        "versions": versions(found.report),
    }


def _configuration(found: Overview) -> dict[str, Any]:
    parameters = found.configuration.get("parameters", [])
    changed = [one for one in parameters if one["origin"] != "default"]
    return {
        "config_service": found.configuration.get("config_service"),
        "changed": [{"name": one["name"], "value": one["value"], "source": one["origin"]} for one in changed],
        "faults": [f"{one['name']}: {fault}" for one in parameters for fault in one["faults"]],
    }
