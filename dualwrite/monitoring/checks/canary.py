"""Whether a canary came through each mirrored stream lately, and in how many seconds.

The periodic look sends it (`history`): a write that is noted and a key that is relayed. A request for health only reads
what became of it, since asking often must not mean writing often.

How it can fail, and the answer: nobody sends canaries any more → the age of the last one is judged; none was ever sent
→ UNKNOWN; the stream is off or stands still → none is sent, and the last one of before says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from dualwrite.models import HealthRecord
from dualwrite.monitoring.exceptions import CannotTell, Down
from dualwrite.monitoring.health import Check
from dualwrite.monitoring.status import Status
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.standing import reason_to_skip

NAME = "canary"


@dataclass(frozen=True, kw_only=True)
class CanaryCheck(Check):
    """The last canary of each mirrored stream came through, and is younger than `age_seconds`."""

    name: str = NAME
    mend: str = "manage.py dualwrite verify; the periodic look is run by worker and beat"
    #: Of a look each five minutes two may be missed.
    age_seconds: float = 960.0

    def run(self) -> dict[str, Any]:
        """Return age and seconds of each canary; raise Down or CannotTell naming every stream with a trouble."""
        details = {stream.name: _last(stream) for stream in all_streams()}
        wrong = [f"{name}: {why}" for name, one in details.items() if (why := self.trouble(one))]
        if wrong:
            raise Down("; ".join(wrong), details)
        blind = [name for name, one in details.items() if one["sent"] and one["age_seconds"] is None]
        if blind:
            raise CannotTell(f"no canary was sent through {', '.join(blind)} yet", details)
        return details

    def trouble(self, one: Mapping[str, Any]) -> str:
        """What is wrong with the last canary; empty when nothing is. Pure."""
        if not one["sent"] or one["age_seconds"] is None:
            return ""
        if one["age_seconds"] > self.age_seconds:
            return f"the last canary was sent {one['age_seconds'] / 60:.0f} min ago"
        return "" if one["status"] == Status.UP else str(one["error"] or one["status"])


def _last(stream: Stream) -> dict[str, Any]:
    if why := reason_to_skip(stream):
        return {"sent": False, "why": why}
    with failing(Store.REGISTRY):
        row = HealthRecord.objects.filter(component=NAME, subject=stream.name).order_by("-at").first()
    if row is None:
        return {"sent": True, "age_seconds": None}
    age = round(max(0.0, (timezone.now() - row.at).total_seconds()), 1)
    took = round(row.seconds, 3)
    return {"sent": True, "age_seconds": age, "status": row.status, "error": row.error, "canary_seconds": took}
