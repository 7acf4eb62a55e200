"""What a validation run proves, and for how long."""

from django.db.models import Q

from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import State

#: The level that shows both stores equal; the others tolerate or leave out.
PROVING = "strict"
#: The scope that does; the others leave keys out.
WHOLE = "whole"
#: Runs that say nothing, so that what an earlier one said stands.
_SILENT = (ValidationStatus.RUNNING, ValidationStatus.SKIPPED, ValidationStatus.CANCELLED)


def proves(run: ValidationRun, state: State) -> bool:
    """Whether the run shows the mirror equal in this generation of capture."""
    clean = run.status == ValidationStatus.PASSED and run.level == PROVING and run.scope == WHOLE
    return clean and state.backfilled and run.generation == state.generation and run.authority == state.store


def unproven(run: ValidationRun, state: State, age_seconds: float, max_age_seconds: float) -> str:
    """Why the run, which ended so many seconds ago, does not show the mirror equal now; empty when it does."""
    if run.status != ValidationStatus.PASSED:
        return f"validation {run.pk} ended as {run.status}"
    if run.level != PROVING or run.scope != WHOLE:
        return (
            f"validation {run.pk} was at level {run.level}, of {run.scope}; only {PROVING} of the {WHOLE} stream proves"
        )
    if not proves(run, state):
        return f"validation {run.pk} is about an earlier time: the stream was enabled, disabled or switched since"
    # One that ended in the future, by another clock, is no fresher than an old one.
    if abs(age_seconds) >= max_age_seconds:
        return f"validation {run.pk} ended {age_seconds:.0f} s ago, more than {max_age_seconds:g} s"
    return ""


def found_differences(run: ValidationRun, state: State) -> bool:
    """Whether the run shows the mirror different since capture is on, so that validating again mends nothing."""
    return bool(run.found) and run.generation == state.generation and run.authority == state.store


def mend_of(stream: Stream, *, differs: bool) -> str:
    """The commands that prove both stores equal, having made them so where they differ."""
    validate = f"manage.py run_validation --stream {stream.name} --level {PROVING}"
    return f"manage.py dualwrite backfill --stream {stream.name}, then {validate}" if differs else validate


def deciding_run(stream: Stream) -> ValidationRun | None:
    """The latest finished run that says something: a proving one, or one of any kind that found differences.

    Raises StoreUnreachable.
    """
    says_something = Q(level=PROVING, scope=WHOLE)
    for counted in ("missing_in_mirror", "extra_in_mirror", "field_mismatch", "relay_stuck"):
        says_something |= Q(**{f"{counted}__gt": 0})
    with reaching(Store.REGISTRY):
        finished = ValidationRun.objects.filter(stream=stream.name).exclude(status__in=_SILENT)
        return finished.filter(says_something).first()
