"""What the processes that ask the config service found last."""

from django.conf import settings

from dualwrite.models import ConfigSource, Measure
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.parameters import Origin
from dualwrite.stages import Store
from dualwrite.stores import failing


def fallback() -> list[Sample]:
    """Whether last good values count; nothing where there is no such service."""
    if not settings.CONFIG_SERVICE_URL:
        return []
    subject = Origin.CONFIG_SERVICE.value
    with failing(Store.REGISTRY):
        row = ConfigSource.objects.filter(pk=1).first()
    if row is None or row.asked_at is None:
        return [unknown(Measure.CONFIG_FALLBACK, subject, "it has not been asked yet")]
    wrong = f"it says what is no value of {', '.join(row.wrong)}" if row.wrong else ""
    return [yes(Measure.CONFIG_FALLBACK, subject, row.error if row.failures else wrong)]


SOURCE = Source("config service", (Measure.CONFIG_FALLBACK,), fallback)
