"""The import of one file from end to end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from dualwrite.stages import Store
from dualwrite.stores import present
from registry.exceptions import ImportOptionError, PlanChangedError
from registry.exchanges import INDICES, Exchange
from registry.importing import known, members, record, rejects, spells
from registry.importing.database import REGISTRY, STORES, importing, translated
from registry.importing.difference import Difference, plan_of
from registry.importing.lacking import lacking
from registry.importing.layout import Form, Layout
from registry.importing.listing import Clue, Evidence, gather, wanted
from registry.importing.member_store import write_members
from registry.importing.options import check_options, default_rejects
from registry.importing.progress import Silent, Steps, counted
from registry.importing.reading import Rejection, Row, opened, problem
from registry.importing.record import Fate, Outcome, recording
from registry.importing.report import ImportReport
from registry.importing.spell_store import stored_spells, write_spells


@dataclass(frozen=True, slots=True)
class Job:
    """A file that was read, and everything it was asked to be imported with."""

    path: Path
    rejects: Path
    index: str | None
    option: Exchange | None
    into: str | None
    layout: Layout
    rows: Sequence[Row]
    unreadable: Sequence[Rejection]
    columns: Mapping[str, str]
    actor: str
    steps: Steps
    dry_run: bool = False
    plan: str | None = None

    def require_plan(self, differences: Sequence[Difference]) -> None:
        """Raise PlanChangedError when something else would be changed than was looked at."""
        if self.plan is not None and self.plan != (now := plan_of(differences)):
            raise PlanChangedError(f"what would be changed is {now} now, and was {self.plan}")


def import_file(
    path: str | Path,
    *,
    index: str | None = None,
    exchange: str | None = None,
    columns: Mapping[str, str] | None = None,
    into: str | None = None,
    rejects: str | Path | None = None,
    actor: str = "program",
    steps: Steps | None = None,
    dry_run: bool = False,
    plan: str | None = None,
) -> ImportReport:
    """Import a CSV file of current members or of membership spells, told apart by its columns.

    ``index`` is the index of all rows (spells need it), ``exchange`` the code of the exchange of rows that
    name none, ``columns`` maps fields to columns, ``into`` is ``screener`` or ``registry`` (members go to the
    screener where there is one unless told otherwise, spells only to the registry), ``rejects`` the file for
    rejected rows (``var/rejects/<file>.csv``), ``steps`` is told how far it has come. Everything is written in one
    transaction or nothing is; nothing is ever deleted; a second import changes nothing. That ``actor`` imported the
    file, and what became of each row, is kept in the registry (``AuditLog``, ``IngestionScratch``).

    With ``dry_run`` nothing is written but the rejects: the report says what would be. ``plan`` is that report's: where
    something else would be changed by now, nothing is.

    Raises ImportFileError, ImportOptionError (nothing was tried), PlanChangedError, StoreUnreachableError,
    WriteRefusedError.
    """
    source = Path(path)
    target = Path(rejects) if rejects else default_rejects(source)
    option = check_options(source, target, index, exchange, into)
    steps = steps or Silent()
    steps.begin(f"{source.name}: reading")
    with opened(source, columns or {}, index) as (layout, rows):
        found = [(row, problem(row, layout)) for row in counted(rows, steps)]
    readable = [row for row, wrong in found if wrong is None]
    unreadable = [wrong for _, wrong in found if wrong is not None]
    job = Job(
        source, target, index, option, into, layout, readable, unreadable, columns or {}, actor, steps, dry_run, plan
    )
    steps.begin(f"{source.name}: {len(found)} rows read, deciding what each stands for")
    return _import_spells(job) if layout.form is Form.SPELLS else _import_members(job)


def _import_members(job: Job) -> ImportReport:
    clues = [members.clue_of(row, job.index) for row in job.rows]
    decided, rejected = members.decide(job.rows, job.layout, job.index, _evidence(clues, job.option))
    alias = STORES[job.into or present()[0].value]
    if job.dry_run:
        with translated(alias):
            changed, differences = write_members(alias, decided, job.steps, dry_run=True)
            absent = lacking(alias, decided)
        return replace(_looked_at(job, len(changed), differences, [*job.unreadable, *rejected]), lacking=absent)
    with recording(), importing(alias):
        changed, differences = write_members(alias, decided, job.steps)
        job.require_plan(differences)
        # Inside the transaction of the other store: where this fails, nothing is written there either.
        known.add_indices((member.index_id for member in decided), job.option)
        fates = ((m.row, Outcome.ACCEPTED if m.row.line in changed else Outcome.UNCHANGED, None) for m in decided)
        report = _finish(job, len(changed), fates, [*job.unreadable, *rejected])
        return replace(report, differences=tuple(differences), lacking=lacking(alias, decided))


def _import_spells(job: Job) -> ImportReport:
    index = job.index
    if index is None or job.into == "screener":
        raise ImportOptionError("spells go into the registry and need --index; the screener keeps no history")
    if index not in INDICES and job.option is None:
        raise ImportOptionError(
            f"index {index!r} has no known home, give --exchange; known indices are {', '.join(INDICES)}"
        )
    clues = [members.clue_of(row, index) for row in job.rows]
    parsed, rejected = spells.parse(job.rows, job.layout, index, _evidence(clues, job.option))
    if job.dry_run:
        with translated(REGISTRY):
            stored = stored_spells(index, (spell.instrument_key for spell in parsed), locked=False)
        decided = spells.compare(parsed, job.layout, stored)
        refused = [*job.unreadable, *rejected, *decided.rejections]
        return _looked_at(job, len(decided.new), _new_spells(index, decided.new), refused)
    with recording(), importing(REGISTRY):
        stored = stored_spells(index, (spell.instrument_key for spell in parsed))
        decided = spells.compare(parsed, job.layout, stored)
        job.require_plan(_new_spells(index, decided.new))
        write_spells(index, decided.new, job.path.name, job.steps)
        known.add_indices([index], job.option)
        fates = chain(
            ((spell.row, Outcome.ACCEPTED, None) for spell in decided.new),
            ((row, Outcome.UNCHANGED, None) for row in decided.unchanged),
        )
        report = _finish(job, len(decided.new), fates, [*job.unreadable, *rejected, *decided.rejections])
        return replace(report, differences=tuple(_new_spells(index, decided.new)))


def _new_spells(index: str, new: Iterable[spells.Spell]) -> list[Difference]:
    return [
        Difference(
            "spells",
            (spell.instrument_key, index),
            None,
            {"opt_in": spell.days.opt_in, "opt_out": spell.days.opt_out},
        )
        for spell in new
    ]


def _looked_at(
    job: Job, accepted: int, differences: Sequence[Difference], rejected: Sequence[Rejection]
) -> ImportReport:
    """The report of what would be done."""
    rejects.write(job.rejects, job.layout, rejected)
    return replace(_report(job, accepted, len(rejected)), differences=tuple(differences))


def _finish(job: Job, accepted: int, fates: Iterable[Fate], rejected: Sequence[Rejection]) -> ImportReport:
    """Keep what was read and what became of it; ``fates`` are those of the rows that were not rejected."""
    report = _report(job, accepted, len(rejected))
    record.keep(job.path.name, job.layout.header, chain(fates, record.rejected(rejected)), job.steps)
    record.say(job.actor, job.path.name, report.counts() | {"form": job.layout.form.value, "options": _options(job)})
    rejects.write(job.rejects, job.layout, rejected)
    return report


def _report(job: Job, accepted: int, rejected: int) -> ImportReport:
    read = len(job.rows) + len(job.unreadable)
    return ImportReport(
        file=str(job.path),
        read=read,
        accepted=accepted,
        rejected=rejected,
        unchanged=read - accepted - rejected,
        rejects_path=job.rejects,
    )


def _options(job: Job) -> dict[str, Any]:
    into = job.into or (Store.REGISTRY if job.layout.form is Form.SPELLS else present()[0]).value
    exchange = job.option.code if job.option else None
    return {"index": job.index, "exchange": exchange, "columns": dict(job.columns), "into": into}


def _evidence(clues: Sequence[Clue], option: Exchange | None) -> Evidence:
    return Evidence(here=gather(clues), stored=known.listings(wanted(clues)), option=option)
