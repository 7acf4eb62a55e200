"""Whether somebody looks, again and again, that both stores are equal, and what was seen last.

How it can fail, and the answer: nobody validates any more → the age of the last look is judged, whatever it found; a
part is passed over → the part that waits longest is judged as well; a stream was just enabled → UNKNOWN until the first
look, not UP; a run broke off → DOWN with its error, as an error is never a pass; a stream is off, paused or complete →
nothing is to be compared, and it says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from dualwrite import switch
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.monitoring.exceptions import CannotTell, Down
from dualwrite.monitoring.health import Check
from dualwrite.parameters import VALIDATION_LEVEL
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.coverage import coverage
from dualwrite.validation.level import Level
from dualwrite.validation.standing import reason_to_skip

ENDED = (ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED, ValidationStatus.ERROR)


@dataclass(frozen=True)
class Look:
    """The last look at a stream: which run, how it ended, how old it is; age of the oldest part, None: never whole."""

    run: int
    verdict: str
    error: str
    age_seconds: float
    coverage_age_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class ValidationCheck(Check):
    """Each mirrored stream was looked at within `age_seconds`, every part of it within `coverage_seconds`."""

    name: str = "validation"
    mend: str = "manage.py run_validation; its result names what differs"
    #: Of a schedule of half an hour one look may be missed.
    age_seconds: float = 5_400.0
    #: Of every part once a day, and the same slack.
    coverage_seconds: float = 86_400.0 + 5_400.0

    def run(self) -> dict[str, Any]:
        """Return each stream's last look; raise Down or CannotTell naming every stream with a trouble."""
        found = {stream.name: _asked(stream) for stream in all_streams()}
        details = {name: one if isinstance(one, Mapping) else vars(one) for name, one in found.items()}
        looks = {name: one for name, one in found.items() if isinstance(one, Look)}
        wrong = [f"{name}: {why}" for name, one in looks.items() for why in self.troubles(one)]
        blind = [f"{name}: {one['why']}" for name, one in details.items() if one.get("blind")]
        blind += [f"{name}: not everything was looked at yet" for name, one in looks.items() if _is_partial(one)]
        if wrong:
            raise Down("; ".join(wrong), details)
        if blind:
            raise CannotTell("; ".join(blind), details)
        return details

    def troubles(self, one: Look) -> list[str]:
        """What is wrong with a look. Pure."""
        found = []
        if one.verdict == ValidationStatus.FAILED:
            found.append(f"validation {one.run} found that the stores are not equal")
        if one.verdict == ValidationStatus.ERROR:
            found.append(f"validation {one.run} could not tell: {one.error}")
        if one.age_seconds > self.age_seconds:
            found.append(f"nobody has validated for {one.age_seconds / 60:.0f} min")
        if (one.coverage_age_seconds or 0.0) > self.coverage_seconds:
            found.append(f"a part was not looked at for {(one.coverage_age_seconds or 0.0) / 3600:.0f} h")
        return found


def _is_partial(one: Look) -> bool:
    return one.coverage_age_seconds is None


def _asked(stream: Stream) -> Look | dict[str, Any]:
    """The last look, or why there is none."""
    if why := reason_to_skip(stream):
        return {"compared": False, "why": why}
    with failing(Store.REGISTRY):
        last = ValidationRun.objects.filter(stream=stream.name, status__in=ENDED).first()
    if last is None or last.finished_at is None:
        return {"compared": False, "blind": True, "why": "no validation has ended yet"}
    covered = coverage(stream, switch.authority(stream), Level(VALIDATION_LEVEL.value()))
    oldest = _age(min(covered.values())) if covered else None
    return Look(last.pk, last.status, last.error, _age(last.finished_at), oldest)


def _age(at: datetime) -> float:
    return round(max(0.0, (timezone.now() - at).total_seconds()), 1)
