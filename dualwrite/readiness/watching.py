"""Somebody looks, what was seen is kept, and Prometheus is shown it."""

from collections.abc import Mapping

from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from dualwrite.models import AlertEvaluation, AlertRule, HealthRecord, TaskStatus
from dualwrite.monitoring.checks import ALL
from dualwrite.readiness import probes
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.stages import Store
from dualwrite.stores import failing

LOOK, LOOK_SECONDS = "dualwrite.monitoring.check", 90.0
METRICS = "/metrics"
NEEDED = {
    "registry_dualwrite_stage",
    "registry_dualwrite_outbox_pending",
    "registry_validation_last_success_timestamp_seconds",
    "registry_health_status",
    "registry_alerts_firing",
}
FRESH_SECONDS = 120.0


def check(service: Service) -> str:
    """The worker looks at everything now; then what it saw, and the metrics."""
    began = timezone.now()
    slot = probes.send(LOOK)
    row = probes.wait([slot], LOOK_SECONDS)[slot]
    if row.status not in (TaskStatus.DONE, TaskStatus.REFUSED):
        raise NotReady(f"the look of the worker ended as {row.status}: {row.sentence}")
    with failing(Store.REGISTRY):
        seen = set(HealthRecord.objects.order_by("-at")[: 4 * len(ALL)].values_list("component", flat=True))
        rules = AlertRule.objects.filter(enabled=True).count()
        # Where another look was under way already, that one's is as good.
        evaluated = AlertEvaluation.objects.exists()
    lacking = [one.name for one in ALL if one.name not in seen]
    if lacking or not rules or not evaluated:
        raise NotReady(f"not everything is watched: {', '.join(lacking) or 'no rule of alerts is switched on'}")
    seconds = (timezone.now() - began).total_seconds()
    return f"{len(ALL)} components were looked at and kept within {seconds:.1f} s, {rules} rules; {_scraped(service)}"


def _scraped(service: Service) -> str:
    with service.client() as client:
        answer = client.get(METRICS)
    if answer.status_code != 200:
        raise NotReady(f"{METRICS} answers {answer.status_code}")
    values = {family.name: {**_samples(family)} for family in text_string_to_metric_families(answer.text)}
    lacking = sorted(NEEDED - values.keys())
    if lacking:
        raise NotReady(f"{METRICS} lacks {', '.join(lacking)}")
    age = max(values.get("registry_metrics_snapshot_age_seconds", {"": 0.0}).values())
    works = min(values.get("registry_metrics_collector_success", {"": 0.0}).values())
    if age > FRESH_SECONDS or works != 1:
        raise NotReady(f"{METRICS} shows old values ({age:.0f} s), as something cannot be read")
    return f"a scrape has {len(values)} families, {age:.0f} s old"


def _samples(family: object) -> Mapping[str, float]:
    return {f"{one.name}{one.labels}": float(one.value) for one in getattr(family, "samples", ())}
