"""Metrics for Prometheus.

What is read from rows (all named registry_*) is right whichever worker process is asked. What a process
counts itself (requests, latencies, python_*, process_*) is that of the worker that happens to answer: with
several workers each scrape may see another one's.
"""

from django.http import HttpResponse
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from rest_framework.request import Request

from actuator.view import OperatorView
from dualwrite.monitoring.collector import RowsCollector
from dualwrite.monitoring.snapshot import Snapshots

snapshots = Snapshots()


class MetricsView(OperatorView):
    """GET /metrics and /actuator/prometheus."""

    def get(self, request: Request) -> HttpResponse:
        """The process's metrics and those of the rows, as text or OpenMetrics."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        shown = CollectorRegistry()
        shown.register(REGISTRY)
        shown.register(RowsCollector(snapshots))
        return HttpResponse(encode(shown), content_type=content_type)
