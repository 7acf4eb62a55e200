"""The names of all metrics that dashboards and rules may rely on: never renamed, only added. No I/O."""

GAUGES = frozenset(
    {
        "registry_dualwrite_stage",
        "registry_dualwrite_authority",
        "registry_dualwrite_mirroring",
        "registry_dualwrite_verified",
        "registry_dualwrite_outbox_pending",
        "registry_dualwrite_outbox_oldest_age_seconds",
        "registry_dualwrite_lag_seconds",
        "registry_dualwrite_parked",
        "registry_dualwrite_mirror_breaker_open",
        "registry_validation_last_success_timestamp_seconds",
        "registry_validation_covered_since_timestamp_seconds",
        "registry_validation_differences",
        "registry_validation_match_ratio",
        "registry_retention_last_success_timestamp_seconds",
        "registry_health_status",
        "registry_alerts_firing",
        "registry_config_fallback",
        "registry_metrics_snapshot_age_seconds",
        "registry_metrics_collector_success",
    }
)
COUNTERS = frozenset(
    {
        "registry_dualwrite_applied_total",
        "registry_dualwrite_apply_errors_total",
        "registry_dualwrite_comparisons_total",
        "registry_validation_runs_total",
        "registry_retention_rows_total",
        "registry_retention_backup_bytes_total",
        "registry_api_calls_total",
        "registry_api_comparisons_total",
    }
)
#: Each has `_bucket`, `_sum` and `_count`.
HISTOGRAMS = frozenset(
    {
        "registry_dualwrite_operation_seconds",
        "registry_dualwrite_switch_stall_seconds",
        "registry_validation_duration_seconds",
        "registry_api_read_seconds",
        "registry_api_compared_read_seconds",
    }
)
#: As they stand in an expression.
SERIES = GAUGES | COUNTERS | {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
