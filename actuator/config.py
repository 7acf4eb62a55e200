"""Live parameters over HTTP: what counts and why; an admin sets one, or takes that back."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, given, operation
from actuator.openapi.shapes import Shape, many, record, ref, text
from actuator.shapes import REASON
from actuator.view import OperatorView
from dualwrite.access import Clearance, caller_of
from dualwrite.configuration.overriding import override, take_back
from dualwrite.configuration.report import parameter_report, report
from dualwrite.parameters import parameter_named

TAG = "configuration"
VALUE: Shape = {
    "type": ["string", "number", "boolean", "null"],
    "maxLength": 1000,
    "description": "What it is to be; null: what it is without an override.",
}
PUT = record(value=VALUE, reason=REASON)
CHANGED = record(parameter=ref("Parameter"), failed=many(text(), "What the change set off that could not be done."))


class ConfigView(OperatorView):
    """GET /actuator/config."""

    @operation(
        "configuration",
        TAG,
        {200: Answer(record(parameters=many(ref("Parameter")), config_service=ref("ConfigService")), "All of it.")},
    )
    def get(self, request: Request) -> Response:
        """Every live parameter with its value, where that comes from, what is valid, and its last change."""
        found = report()
        return Response({**found, "parameters": [shown(one) for one in found["parameters"]]})


class ParameterView(OperatorView):
    """GET and PUT /actuator/config/{name}."""

    needs = {"GET": Clearance.VIEWER, "PUT": Clearance.ADMIN}

    @operation("parameter", TAG, {200: Answer(ref("Parameter"), "The parameter.")})
    def get(self, request: Request, name: str) -> Response:
        """One live parameter, by its name with or without INSTRUMENT_REGISTRY_."""
        return Response(shown(parameter_report(parameter_named(name))))

    @operation(
        "setParameter",
        TAG,
        {200: Answer(CHANGED, "What counts now.")},
        body=PUT,
        example={"value": "5000", "reason": "the server is busy"},
    )
    def put(self, request: Request, name: str) -> Response:
        """Set a live parameter, or with null take that back; it counts within seconds everywhere.

        What the config service says counts before it. DUAL_WRITE_ENABLED from true to false disables every stream.
        """
        parameter = parameter_named(name)
        body = given(request, PUT)
        actor = caller_of(request).actor(body["reason"])
        value = body["value"]
        done = take_back(name, actor) if value is None else override(name, _text(value), actor)
        return Response({"parameter": shown(parameter_report(parameter)), "failed": list(done.failed)})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the report, with the word of this API for where a value comes from."""
    return {**{name: found for name, found in row.items() if name != "origin"}, "source": row["origin"]}
