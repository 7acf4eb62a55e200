"""One validation of one stream: its row, its steps, its status. Command, main job and schedule call `validate`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from django.utils import timezone

from dualwrite import runs, switch
from dualwrite.exceptions import DualWriteError, StoreUnreachable, UnknownName, UsageError
from dualwrite.failpoints import reach
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.parameters import THROTTLE_PAUSE_SECONDS, THROTTLE_SESSIONS
from dualwrite.runs import Outcome, Watch
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream, stream_named
from dualwrite.switch import Actor, State
from dualwrite.validation import coverage, result, rules, thresholds
from dualwrite.validation import repair as repairing
from dualwrite.validation.coverage import Task
from dualwrite.validation.engine import compare
from dualwrite.validation.level import Level
from dualwrite.validation.repair import Repair
from dualwrite.validation.scope import Scope
from dualwrite.validation.standing import comparable, is_same, reason_to_skip
from dualwrite.validation.thresholds import Thresholds
from dualwrite.validation.verdict import Findings

T = TypeVar("T")
#: The exit code of what could not be told.
COULD_NOT_TELL = StoreUnreachable.exit_code
SWITCHED = "the stream was switched, disabled or enabled meanwhile; validate again"


@dataclass(frozen=True)
class _Case:
    """One run under way."""

    run: ValidationRun
    stream: Stream
    begun: State
    level: Level
    watch: Watch

    task: Task

    def compare(self, scope: Scope) -> Findings:
        """Compare a part of the stream as this run does."""
        at_a_glance = result.seemed_equal(self.stream, self.level)
        return compare(self.stream, self.begun.store, self.level, scope, self.watch, at_a_glance=at_a_glance)


def validate(
    stream: Stream,
    level: str = Level.STRICT,
    scope: Scope | None = None,
    watch: Watch | None = None,
    repair: Repair | None = None,
    *,
    resumes: int | None = None,
    incremental: bool = False,
    unattended: bool = False,
) -> ValidationRun:
    """Compare both stores of the stream and return the stored run; it has passed only when nothing was found.

    `scope`: everything unless given. `incremental`: what was touched since the last run and the slice that waits
    longest instead, or everything where that is not enough; the run says why. `watch` tells how far it is and may stop
    it, which is no error: the run is `cancelled` then. `resumes`: the run that is done again. `unattended`: nobody
    asked, so where there is nothing to compare the run is `skipped`, no refusal.

    Raises UnknownName for a level, UsageError for a scope with what is no key of the stream, AlreadyRunning, Refused
    where there is no old store or it follows no more, and whatever kept it from being completed (stored as `error`).
    """
    chosen = level_named(level)
    (scope or Scope.whole()).require_keys_of(stream)
    if unattended and (why := reason_to_skip(stream)):
        return _skipped(stream, chosen, scope or Scope.whole(), why)
    with runs.only(ValidationRun, stream) as owner:
        asked = {"configuration": _asked_for(scope, incremental=incremental), "scope": str(scope or Scope.whole())}
        values = {"level": chosen.value, "resumes": resumes, **asked, **owner.as_fields()}
        begun = _begun(stream, repair, values)
        task = _told(stream, values, lambda: coverage.task(stream, begun, chosen, _asked(scope, incremental)))
        run = ValidationRun(
            stream=stream.name,
            authority=begun.store.value,
            generation=begun.generation,
            **{**values, "scope": str(task.scope), "configuration": _configuration(chosen, task, values)},
        )
        with reaching(Store.REGISTRY):
            run.save(force_insert=True)
        case = _Case(run, stream, begun, chosen, watch or Watch(), task)
        runs.conduct(run, owner, case.watch, begun.store, lambda: _work(case, repair))
    return run


def _asked_for(scope: Scope | None, *, incremental: bool) -> dict[str, object]:
    """What is needed to do it again, beside level and scope: the keys, where the scope only counts them."""
    if incremental or scope is None or scope.is_written_out:
        return {"incremental": incremental}
    return {"incremental": incremental, "keys": list(scope.named)}


def _configuration(level: Level, task: Task, values: Mapping[str, Any]) -> dict[str, object]:
    asked = {**values["configuration"], **({"everything_because": task.why} if task.why else {})}
    return {"level": level.value, "scope": str(task.scope), "tolerance": result.tolerance(), **asked}


def level_named(name: str) -> Level:
    """The level of that name; raises UnknownName listing the valid ones."""
    try:
        return Level(name)
    except ValueError as exc:
        raise UnknownName("level", name, [level.value for level in Level]) from exc


def _begun(stream: Stream, repair: Repair | None, values: Mapping[str, Any]) -> State:
    """The state the run begins with."""
    here = _told(stream, values, lambda: comparable(stream))
    if repair is not None:
        repairing.require_possible(stream, here, repair)
    return here


def _told(stream: Stream, values: Mapping[str, Any], ask: Callable[[], T]) -> T:
    """What is to be known first. Where it cannot be told that is kept as a run as well, since somebody relies on it."""
    try:
        return ask()
    except DualWriteError as exc:
        if exc.exit_code == COULD_NOT_TELL:
            error = {"status": ValidationStatus.ERROR, "error": str(exc), "finished_at": timezone.now()}
            with reaching(Store.REGISTRY):
                ValidationRun.objects.create(stream=stream.name, **values, **error)
        raise


def _asked(scope: Scope | None, incremental: bool) -> Scope | None:
    return None if incremental else scope or Scope.whole()


def _skipped(stream: Stream, level: Level, scope: Scope, why: str) -> ValidationRun:
    values = {"status": ValidationStatus.SKIPPED, "error": why, "finished_at": timezone.now()}
    with reaching(Store.REGISTRY):
        return ValidationRun.objects.create(stream=stream.name, level=level.value, scope=str(scope), **values)


def _work(case: _Case, repair: Repair | None) -> Outcome:
    limits, mending = _parameters(case.stream, repair)  # first: one that is none is told before the work, not after it
    began, scope = time.monotonic(), case.task.scope
    found = case.compare(scope)
    reach("validation compared")
    seconds = time.monotonic() - began
    if not is_same(case.begun, switch.authority(case.stream)):
        # What was looked for in one store's outbox waited in the other's: neither a difference nor a pass.
        return Outcome(ValidationStatus.ERROR, SWITCHED)
    least = thresholds.least(scope, coverage.rows_of_whole(case.stream))
    verdict = thresholds.judge(replace(result.totals(found, case.begun.store, scope), least=least), limits)
    fields: dict[str, object] = {
        **result.counted(found, case.begun.store, seconds),
        "configuration": {**case.run.configuration, **result.how(found)},
        "thresholds": asdict(limits),
        "violations": list(verdict.violations),
        "passed_thresholds": verdict.passed_thresholds,
        "rules": _rules(case),
    }
    # Kept before anything else is done: whatever becomes of that, this was found.
    runs.note(case.run, **fields)
    again = [verdict.key for verdict in found.differences] if found.names_all else None
    coverage.finish(case.stream, case.task, again)
    if repair is not None and mending is not None:
        report = repairing.carry_out(
            case.run, case.stream, case.begun, found, repair, case.compare, case.watch, mending
        )
        fields["repair"] = report.as_data()
    return Outcome(verdict.status, verdict.sentence, fields)


def _parameters(stream: Stream, repair: Repair | None) -> tuple[Thresholds, repairing.Limits | None]:
    """What is needed when it has been compared, with all that others read on the way tried; raises InvalidParameter."""
    later = [value for rule in stream.rules for value in rule.values.values()]
    for value in (THROTTLE_SESSIONS.value, THROTTLE_PAUSE_SECONDS.value, *later):
        value()
    return thresholds.in_force(), None if repair is None else repairing.Limits.in_force()


def _rules(case: _Case) -> list[dict[str, object]]:
    """What the stream's own rules find: with a look at everything, and once in each round of slices."""
    if case.task.scope.part is None or case.task.scope.part[0] != 0:
        return []
    case.watch.phase("looking at the stream's rules", None)
    return [asdict(finding) for finding in rules.findings(case.stream)]


def resume(
    number: int, watch: Watch | None = None, repair: Repair | None = None, stream: str | None = None
) -> ValidationRun:
    """Do a cancelled or broken run again, as it was configured; the new run names the old one.

    Raises UsageError when there is no such run, or it is about another stream; AlreadyRunning, Refused when it came to
    its end, and as `validate`.
    """
    before = runs.to_resume(ValidationRun, number)
    if stream is not None and stream != before.stream:
        raise UsageError(f"validation run {number} is about stream {before.stream}, not {stream}")
    again = stream_named(before.stream)
    if before.configuration.get("incremental"):
        # What it had to look at waits still, with what has come since.
        return validate(again, before.level, None, watch, repair, resumes=before.pk, incremental=True)
    scope = Scope.parse(before.scope, before.configuration.get("keys", ()))
    return validate(again, before.level, scope, watch, repair, resumes=before.pk)


def cancel(number: int, actor: Actor) -> ValidationRun:
    """Ask the run to stop and return it as it is now; it sees that within a second, and ends as `cancelled`.

    Raises UsageError when there is no such run, Refused when it has ended, StoreUnreachable.
    """
    run = runs.cancel(ValidationRun, number, actor.name)
    switch.audit(Store.REGISTRY, actor, "cancel validation", run.stream, {"run": run.pk})
    return run
