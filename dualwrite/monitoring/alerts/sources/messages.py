"""Whether the channels themselves work."""

from dualwrite.models import AlertChannel, Measure
from dualwrite.monitoring.alerts.sources import Source
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.stages import Store
from dualwrite.stores import failing


def channels() -> list[Sample]:
    """Failed attempts in a row of every channel that is switched on."""
    with failing(Store.REGISTRY):
        found = list(AlertChannel.objects.filter(enabled=True))
    return [Sample(Measure.CHANNEL_FAILING, one.name, float(one.failures), one.error) for one in found]


SOURCE = Source("channels", (Measure.CHANNEL_FAILING,), channels)
