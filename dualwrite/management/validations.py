"""Validations for people: what was found, what was repaired, what became of a request to stop one."""

import threading
import time
from collections.abc import Mapping, Sequence

from dualwrite.management.render import table
from dualwrite.models import ValidationRun, ValidationStatus
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.switch import Actor
from dualwrite.validation.run import cancel

#: Differences shown of each run; all that are kept stand in the JSON and in the admin.
SHOWN = 20
#: How long a run that is cancelled is waited for.
CANCEL_SECONDS, LOOK_SECONDS = 10.0, 0.2
_NOT_TOLD = (ValidationStatus.ERROR, ValidationStatus.CANCELLED, ValidationStatus.SKIPPED)


def exit_code(runs: Sequence[ValidationRun]) -> int:
    """0 when all passed or everything found is repaired, 3 when one could not tell, else 1."""
    if any(run.status in _NOT_TOLD for run in runs):
        return 3
    return 0 if all(run.status == ValidationStatus.PASSED or _is_repaired(run) for run in runs) else 1


def _is_repaired(run: ValidationRun) -> bool:
    settled = not run.unsettled and not run.relay_stuck and not run.cut_short
    return bool(run.repair and run.repair["complete"] and settled)


def text(runs: Sequence[ValidationRun], left: Mapping[str, str]) -> str:
    """A line per run, then what is to be said about it, and the first differences."""
    head = ["run", "stream", "level", "verdict", "rows", "mirror", "missing", "extra", "mismatch", "unsettled", "stuck"]
    lines = [table([*head, "seconds"], [_row(run) for run in runs])]
    for run in runs:
        lines += [f"! {run.stream}: {sentence}" for sentence in _sentences(run)]
        lines += [f"  {d['kind']} {d['key']} ({_aspects(d)})" for d in run.differences[:SHOWN]]
    lines += [f"{name}: {why}" for name, why in left.items()]
    return "\n".join(lines)


def _row(run: ValidationRun) -> list[object]:
    counts = [run.missing_in_mirror, run.extra_in_mirror, run.field_mismatch, run.unsettled, run.relay_stuck]
    rows = [run.authority_rows, run.mirror_rows]
    return [run.pk, run.stream, run.level, run.status, *rows, *counts, run.seconds]


def _aspects(difference: Mapping[str, object]) -> str:
    fields = difference["fields"]
    named = ", ".join(map(str, fields)) if isinstance(fields, list) else ""
    return f"{named}; {difference['history']}" if named else str(difference["history"])


def _sentences(run: ValidationRun) -> list[str]:
    said = [run.error] if run.error else []
    if why := run.configuration.get("everything_because"):
        said.append(f"everything was compared: {why}")
    said += [f"{v['threshold']} is {v['found']:g}, and {v['limit']:g} is tolerated" for v in run.violations]
    said += [f"rule {r['rule']}: {r['count']} exceptions, e.g. {': '.join(r['first'][0])}" for r in run.rules]
    if run.repair is not None:
        said += _repair_sentences(run.stream, run.repair)
    return said


def _repair_sentences(stream: str, repair: Mapping[str, object]) -> list[str]:
    if repair["dry_run"]:
        said = [f"{repair['to_repair']} keys would be noted in the authority's outbox", *_listed(repair["keys"])]
    else:
        said = [f"{repair['noted']} keys noted, {repair['repaired']} repaired"]
    if repair["sentence"]:
        said.append(str(repair["sentence"]))
    if repair["parked"]:
        said.append(f"parked keys are not repaired; manage.py dualwrite redrive --stream {stream} sends them again")
    return said


def _listed(keys: object) -> list[str]:
    return [f"would note {key}" for key in keys[:SHOWN]] if isinstance(keys, list) else []


def cancelled(number: int, who: Actor) -> ValidationRun:
    """Ask the run to stop, and give it some seconds to do so; raises as `cancel`."""
    run = cancel(number, who)
    pace, until = threading.Event(), time.monotonic() + CANCEL_SECONDS
    while run.status == ValidationStatus.RUNNING and time.monotonic() < until:
        pace.wait(LOOK_SECONDS)
        with reaching(Store.REGISTRY):
            run.refresh_from_db()
    return run


def cancel_sentence(run: ValidationRun) -> str:
    """What became of it."""
    if run.status == ValidationStatus.RUNNING:
        return f"validation run {run.pk} was asked to stop and has not yet"
    return f"validation run {run.pk}: {run.status}{f', {run.error}' if run.error else ''}"
