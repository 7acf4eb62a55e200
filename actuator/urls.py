"""Addresses of the operators' API. The names are what the index links."""

from django.urls import path, re_path

from actuator.alerts import AlertsView
from actuator.health import ComponentView, HealthView, LivenessView, LivezView, ReadinessView, ReadyzView
from actuator.index import IndexView
from actuator.info import InfoView
from actuator.metrics import MetricsView
from actuator.monitoring import MonitoringStatusView
from actuator.retention import CancelView, OneRunView, RetentionRunView, RetentionStatusView
from actuator.status import DualWriteStatusView, StatusView
from actuator.view import UnknownEndpoint

urlpatterns = [
    path("actuator", IndexView.as_view(), name="actuator"),
    path("actuator/health", HealthView.as_view(), name="health"),
    path("actuator/health/liveness", LivenessView.as_view(), name="health-liveness"),
    path("actuator/health/readiness", ReadinessView.as_view(), name="health-readiness"),
    path("actuator/health/<str:component>", ComponentView.as_view(), name="health-component"),
    path("actuator/info", InfoView.as_view(), name="info"),
    path("actuator/status", StatusView.as_view(), name="status"),
    path("actuator/dual-write/status", DualWriteStatusView.as_view(), name="dual-write-status"),
    path("actuator/retention/status", RetentionStatusView.as_view(), name="retention-status"),
    path("actuator/retention/run", RetentionRunView.as_view(), name="retention-run"),
    path("actuator/retention/runs/<int:number>", OneRunView.as_view(), name="retention-one-run"),
    path("actuator/retention/runs/<int:number>/cancel", CancelView.as_view(), name="retention-cancel"),
    path("actuator/monitoring/status", MonitoringStatusView.as_view(), name="monitoring-status"),
    path("actuator/monitoring/alerts", AlertsView.as_view(), name="monitoring-alerts"),
    path("actuator/prometheus", MetricsView.as_view(), name="prometheus"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("livez", LivezView.as_view(), name="livez"),
    path("readyz", ReadyzView.as_view(), name="readyz"),
    re_path(r"^actuator/.*$", UnknownEndpoint.as_view()),
]
