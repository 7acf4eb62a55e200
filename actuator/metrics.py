"""Metrics for Prometheus.

What is read from rows is right whichever process is asked. What processes count (requests, latencies) is the sum over
all of the web server's where PROMETHEUS_MULTIPROC_DIR is set, as `./run` does; else that of the one that happens to
answer, as python_* and process_* are in any case. Worker and relay show what they count on ports of their own.
"""

from django.http import HttpResponse
from prometheus_client.exposition import choose_encoder
from rest_framework.request import Request

from actuator.openapi import Answer, operation
from actuator.openapi.shapes import text
from actuator.view import OperatorView
from dualwrite.access.permissions import ClearedOrLoopback
from dualwrite.monitoring.collector import RowsCollector
from dualwrite.monitoring.multiprocess import processes
from dualwrite.monitoring.snapshot import Snapshots

TEXT = "text/plain"
snapshots = Snapshots()


class MetricsView(OperatorView):
    """GET /metrics: for viewers, and for a Prometheus on this machine."""

    permission_classes = (ClearedOrLoopback,)

    @operation("metrics", "monitoring", {200: Answer(text(), "Text, or OpenMetrics where that is asked.", media=TEXT)})
    def get(self, request: Request) -> HttpResponse:
        """The metrics of the processes and those of the rows, as text or OpenMetrics."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        shown = processes()
        shown.register(RowsCollector(snapshots))
        return HttpResponse(encode(shown), content_type=content_type)


class PrometheusView(MetricsView):
    """GET /actuator/prometheus."""

    @operation("prometheus", "monitoring", {200: Answer(text(), "As /metrics.", media=TEXT)})
    def get(self, request: Request) -> HttpResponse:
        """The same as /metrics, where Spring Boot has it."""
        return super().get(request)
