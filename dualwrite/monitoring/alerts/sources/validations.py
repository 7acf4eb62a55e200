"""What the kept validations tell: the last verdict, how old the last good one is, how much was found equal."""

from datetime import datetime

from django.utils import timezone

from dualwrite import switch
from dualwrite.models import Audit, Measure, ValidationRun, ValidationStatus
from dualwrite.monitoring.alerts.sources import Source, unknown, yes
from dualwrite.monitoring.alerts.states import Sample
from dualwrite.parameters import VALIDATION_LEVEL
from dualwrite.stages import Store
from dualwrite.stores import failing
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.coverage import coverage
from dualwrite.validation.level import Level
from dualwrite.validation.standing import reason_to_skip

MEASURES = (Measure.VALIDATION_FAILED, Measure.VALIDATION_AGE, Measure.VALIDATION_COVERAGE_AGE, Measure.MATCH)
#: A run that says whether the stores are equal.
TOLD = (ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED)
BAD = (ValidationStatus.FAILED, ValidationStatus.ERROR)


def validations() -> list[Sample]:
    """Every stream that is to be validated: one that is off, complete or paused has nothing to be compared."""
    now = timezone.now()
    with failing(Store.REGISTRY):
        return [one for stream in all_streams() if not reason_to_skip(stream) for one in _stream(stream, now)]


def _stream(stream: Stream, now: datetime) -> list[Sample]:
    since = _begun(stream)
    return [_failed(stream), _age(stream, since, now), _coverage(stream, since, now), _match(stream)]


def _failed(stream: Stream) -> Sample:
    last = ValidationRun.objects.filter(stream=stream.name, status__in=(*TOLD, ValidationStatus.ERROR)).first()
    if last is None:
        return unknown(Measure.VALIDATION_FAILED, stream.name, "it has never been validated")
    why = f"validation {last.pk} ended {last.status}: {last.error or f'{last.found} keys differ'}"
    return yes(Measure.VALIDATION_FAILED, stream.name, why if last.status in BAD else "")


def _begun(stream: Stream) -> datetime | None:
    """When it was enabled last, which is when to begin to wait for a validation."""
    enabled = Audit.objects.filter(stream=stream.name, verb="enable")
    return enabled.order_by("-id").values_list("at", flat=True).first()


def _age(stream: Stream, begun: datetime | None, now: datetime) -> Sample:
    passed = ValidationRun.objects.filter(stream=stream.name, status=ValidationStatus.PASSED)
    last = passed.exclude(finished_at=None).values_list("finished_at", flat=True).first()
    return _since(Measure.VALIDATION_AGE, stream, last or begun, now, "no validation has passed for {:.0f} s")


def _coverage(stream: Stream, begun: datetime | None, now: datetime) -> Sample:
    covered = coverage(stream, switch.authority(stream), Level(VALIDATION_LEVEL.value()))
    oldest = min(covered.values()) if covered else begun
    words = "some part has not been looked at for {:.0f} s"
    return _since(Measure.VALIDATION_COVERAGE_AGE, stream, oldest, now, words)


def _since(measure: Measure, stream: Stream, moment: datetime | None, now: datetime, words: str) -> Sample:
    if moment is None:
        return unknown(measure, stream.name, "neither a validation nor when the stream was enabled is known")
    seconds = max(0.0, (now - moment).total_seconds())
    return Sample(measure, stream.name, round(seconds, 1), words.format(seconds))


def _match(stream: Stream) -> Sample:
    last = ValidationRun.objects.filter(stream=stream.name, status__in=TOLD).first()
    if last is None:
        return unknown(Measure.MATCH, stream.name, "it has never been validated")
    equal = last.matched or 0
    looked_at = equal + last.found + last.unsettled
    percent = 100.0 * equal / looked_at if looked_at else 100.0
    return Sample(Measure.MATCH, stream.name, round(percent, 3), f"{equal} of {looked_at} keys are equal")


SOURCE = Source("validations", MEASURES, validations)
