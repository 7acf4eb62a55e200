"""The report an operator opens first, and how the streams stand."""

from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from actuator.info import NAME, VERSION, versions
from actuator.view import OperatorView
from dualwrite.monitoring.checks import ALL
from dualwrite.monitoring.overview import overview
from dualwrite.monitoring.streams import stream_rows
from dualwrite.stream import all_streams


class StatusView(OperatorView):
    """GET /actuator/status: always 200, within seconds, whatever is away."""

    def get(self, request: Request) -> Response:
        """Status, problems each with the next command, components, streams, versions."""
        found = overview(ALL, all_streams())
        answer: dict[str, Any] = {
            **found.report.as_data(),
            "at": timezone.now(),
            "problems": [vars(problem) for problem in found.problems],
            "streams": found.streams,
            "app": {"name": NAME, "version": VERSION},
            "versions": versions(found.report),
        }
        return Response(answer)


class DualWriteStatusView(OperatorView):
    """GET /actuator/dual-write/status: what `dualwrite status --json` prints."""

    def get(self, request: Request) -> Response:
        """One row a stream."""
        return Response({"streams": stream_rows(all_streams())})
