"""Addresses of the operators' API. The names are what the index links."""

from django.urls import path, re_path

from actuator import dual_write, emergency, retention, validation
from actuator.alerts import AcknowledgeView, AlertsView, SilenceView
from actuator.config import ConfigView, ParameterView
from actuator.docs import DocsView, SchemaView
from actuator.health import ComponentView, HealthView, LivenessView, LivezView, ReadinessView, ReadyzView
from actuator.index import IndexView
from actuator.info import InfoView
from actuator.metrics import MetricsView, PrometheusView
from actuator.monitoring import MonitoringStatusView
from actuator.status import StatusView
from actuator.view import UnknownEndpoint

STATUS = [
    path("actuator", IndexView.as_view(), name="actuator"),
    path("actuator/health", HealthView.as_view(), name="health"),
    path("actuator/health/liveness", LivenessView.as_view(), name="health-liveness"),
    path("actuator/health/readiness", ReadinessView.as_view(), name="health-readiness"),
    path("actuator/health/<str:component>", ComponentView.as_view(), name="health-component"),
    path("actuator/info", InfoView.as_view(), name="info"),
    path("actuator/status", StatusView.as_view(), name="status"),
]
DUAL_WRITE = [
    path("actuator/dual-write/status", dual_write.StatusView.as_view(), name="dual-write-status"),
    path("actuator/dual-write/parked", dual_write.ParkedView.as_view(), name="dual-write-parked"),
    path("actuator/dual-write/enable", dual_write.EnableView.as_view(), name="dual-write-enable"),
    path("actuator/dual-write/disable", emergency.DisableView.as_view(), name="dual-write-disable"),
    path("actuator/dual-write/pause", dual_write.PauseView.as_view(), name="dual-write-pause"),
    path("actuator/dual-write/resume", dual_write.ResumeView.as_view(), name="dual-write-resume"),
    path("actuator/dual-write/advance", dual_write.AdvanceView.as_view(), name="dual-write-advance"),
    path("actuator/dual-write/rollback", dual_write.RollbackView.as_view(), name="dual-write-rollback"),
    path("actuator/dual-write/backfill", dual_write.BackfillView.as_view(), name="dual-write-backfill"),
    path("actuator/dual-write/redrive", dual_write.RedriveView.as_view(), name="dual-write-redrive"),
    path("actuator/emergency/reset", emergency.ResetView.as_view(), name="emergency-reset"),
]
RUNS = [
    path("actuator/validation/run", validation.RunView.as_view(), name="validation-run"),
    path("actuator/validation/status", validation.StatusView.as_view(), name="validation-status"),
    path("actuator/validation/result/<int:number>", validation.ResultView.as_view(), name="validation-result"),
    path("actuator/validation/result/<int:number>/cancel", validation.CancelView.as_view(), name="validation-cancel"),
    path("actuator/retention/status", retention.RetentionStatusView.as_view(), name="retention-status"),
    path("actuator/retention/run", retention.RetentionRunView.as_view(), name="retention-run"),
    path("actuator/retention/runs/<int:number>", retention.OneRunView.as_view(), name="retention-one-run"),
    path("actuator/retention/runs/<int:number>/cancel", retention.CancelView.as_view(), name="retention-cancel"),
]
WATCHING = [
    path("actuator/monitoring/status", MonitoringStatusView.as_view(), name="monitoring-status"),
    path("actuator/monitoring/alerts", AlertsView.as_view(), name="monitoring-alerts"),
    path(
        "actuator/monitoring/alerts/<int:number>/acknowledge", AcknowledgeView.as_view(), name="monitoring-acknowledge"
    ),
    path("actuator/monitoring/alerts/<int:number>/silence", SilenceView.as_view(), name="monitoring-silence"),
    path("actuator/config", ConfigView.as_view(), name="config"),
    path("actuator/config/<str:name>", ParameterView.as_view(), name="config-parameter"),
    path("actuator/prometheus", PrometheusView.as_view(), name="prometheus"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("livez", LivezView.as_view(), name="livez"),
    path("readyz", ReadyzView.as_view(), name="readyz"),
]
urlpatterns = [
    *STATUS,
    *DUAL_WRITE,
    *RUNS,
    *WATCHING,
    path("api/schema/", SchemaView.as_view(), name="api-schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    # Line breaks too, which no dot matches.
    re_path(r"^actuator/[\s\S]*\Z", UnknownEndpoint.as_view()),
]
