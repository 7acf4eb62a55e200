"""Whether the config service answers. Where it does not, its last good values count."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from dualwrite.models import ConfigSource
from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check
from dualwrite.stages import Store
from dualwrite.stores import failing


@dataclass(frozen=True, kw_only=True)
class ConfigServiceCheck(Check):
    """What the processes that ask it found last; it is not asked for this."""

    name: str = "configService"
    mend: str = "start the config service, or correct CONFIG_SERVICE_URL; until then its last good values count"

    def run(self) -> dict[str, Any]:
        """Return since when it answers; raise Down when it does not, or says what is no value."""
        if not settings.CONFIG_SERVICE_URL:
            return {"configured": False}
        with failing(Store.REGISTRY):
            source = ConfigSource.objects.filter(pk=1).first()
        if source is None or source.asked_at is None:
            return {"configured": True, "asked": False}
        details = {"configured": True, "answered_at": source.answered_at, "since": source.changed_at}
        if source.failures:
            raise Down(source.error, {**details, "failures": source.failures, "asked_again_at": source.ask_at})
        if source.wrong:
            raise Down(f"it says what is no value of {', '.join(source.wrong)}", {**details, "wrong": source.wrong})
        return details
