"""The description of the API, and a page to try it; everything on it is served from here."""

from django.http import HttpResponse
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.openapi import Answer, operation
from actuator.openapi.shapes import Shape, anything, one_of
from actuator.openapi.written import as_yaml, schema
from actuator.view import OperatorView
from dualwrite.exceptions import UsageError

FORMATS, YAML = ("json", "yaml"), "application/yaml"
FORMAT: Shape = one_of(FORMATS, "JSON unless said.")


class SchemaView(OperatorView):
    """GET /api/schema/."""

    requests_per_minute = 60

    @operation(
        "schema",
        "description",
        {200: Answer(anything("OpenAPI 3.1."), "The description.", also=(YAML,))},
        query={"format": FORMAT},
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """What this API takes and answers, as OpenAPI 3.1 has it."""
        wanted = request.query_params.get("format", "json")
        if wanted not in FORMATS:
            raise UsageError(f"format={wanted}; valid: {', '.join(FORMATS)}")
        found = schema()
        if wanted == "yaml":
            return HttpResponse(as_yaml(found), content_type=YAML)
        return Response(found)


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/docs/: for whoever is logged in to the admin."""

    url_name = "api-schema"
    template_name = "actuator/docs.html"
