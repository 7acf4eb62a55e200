"""The rules and channels a registry begins with: added once, so that what operators change or remove stays so."""

from typing import Any

from dualwrite.models import AlertChannel, AlertRule, Comparison, Measure, Severity

MINUTE, HOUR, DAY = 60, 3600, 86400


def _rule(
    name: str,
    measure: Measure,
    severity: Severity,
    threshold: float = 1,
    comparison: Comparison = Comparison.AT_LEAST,
    *,
    lasts: int = 0,
    cools: int = 10 * MINUTE,
) -> dict[str, Any]:
    return {
        "name": name,
        "measure": measure.value,
        "comparison": comparison.value,
        "threshold": threshold,
        "for_seconds": lasts,
        "cool_down_seconds": cools,
        "severity": severity.value,
        "runbook": name.replace("_", "-"),
    }


_CRITICAL, _WARNING, _ABOVE = Severity.CRITICAL, Severity.WARNING, Comparison.ABOVE
RULES: tuple[dict[str, Any], ...] = (
    _rule("relay_failing", Measure.RELAY_FAILING, _CRITICAL, lasts=2 * MINUTE),
    _rule("lag", Measure.LAG, _WARNING, 60, _ABOVE, lasts=5 * MINUTE),
    _rule("oldest_pending", Measure.OLDEST_PENDING, _CRITICAL, 10 * MINUTE, _ABOVE),
    _rule("parked_keys", Measure.PARKED, _WARNING, 0, _ABOVE, lasts=MINUTE),
    _rule("validation_failed", Measure.VALIDATION_FAILED, _CRITICAL),
    _rule("validation_stale", Measure.VALIDATION_AGE, _WARNING, 2 * HOUR, _ABOVE),
    _rule("validation_incomplete", Measure.VALIDATION_COVERAGE_AGE, _WARNING, 2 * DAY, _ABOVE),
    _rule("match_ratio", Measure.MATCH, _CRITICAL, 95, Comparison.BELOW),
    _rule("apply_errors", Measure.APPLY_ERRORS, _WARNING, 5, _ABOVE, lasts=5 * MINUTE),
    _rule("response", Measure.RESPONSE, _WARNING, 2, _ABOVE, lasts=5 * MINUTE),
    _rule("retention_failed", Measure.RETENTION_FAILED, _WARNING),
    _rule("retention_stale", Measure.RETENTION_AGE, _WARNING, 36 * HOUR, _ABOVE),
    _rule("drill_failed", Measure.DRILL_FAILED, _CRITICAL),
    _rule("component_down", Measure.COMPONENT_DOWN, _CRITICAL, lasts=2 * MINUTE),
    _rule("canary_lost", Measure.CANARY_LOST, _CRITICAL, lasts=MINUTE),
    _rule("trigger_missing", Measure.CAPTURE_BROKEN, _CRITICAL),
    _rule("store_went_back", Measure.WENT_BACK, _CRITICAL),
    _rule("config_fallback", Measure.CONFIG_FALLBACK, _WARNING, lasts=10 * MINUTE),
    _rule("clock_skew", Measure.CLOCK_SKEW, _WARNING, 5, _ABOVE, lasts=5 * MINUTE),
    _rule("channel_failing", Measure.CHANNEL_FAILING, _CRITICAL, 3),
    _rule("task_failing", Measure.TASK_FAILING, _WARNING, 3),
    _rule("cannot_be_measured", Measure.UNKNOWN, _WARNING, lasts=15 * MINUTE, cools=HOUR),
)
CHANNELS: tuple[dict[str, Any], ...] = ({"name": "log", "kind": AlertChannel.Kind.LOG.value},)


def seed(rules: type[AlertRule] = AlertRule, channels: type[AlertChannel] = AlertChannel, using: str = "") -> None:
    """Add them; what has one of these names already stays as it is. Migrations give their own classes."""
    alias = using or "default"
    rules.objects.using(alias).bulk_create([rules(**one) for one in RULES], ignore_conflicts=True)
    channels.objects.using(alias).bulk_create([channels(**one) for one in CHANNELS], ignore_conflicts=True)
