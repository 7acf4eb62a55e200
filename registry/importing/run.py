"""The import of one file from end to end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from dualwrite.stages import Store
from dualwrite.stores import present
from registry.exceptions import ImportOptionError
from registry.exchanges import EXCHANGES, INDICES, Exchange
from registry.importing import known, members, rejects, spells
from registry.importing.database import REGISTRY, STORES, importing
from registry.importing.layout import Form, Layout
from registry.importing.listing import Clue, Evidence, gather, wanted
from registry.importing.member_store import write_members
from registry.importing.progress import Silent, Steps, counted
from registry.importing.reading import Rejection, Row, opened, problem
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
    steps: Steps


def import_file(
    path: str | Path,
    *,
    index: str | None = None,
    exchange: str | None = None,
    columns: Mapping[str, str] | None = None,
    into: str | None = None,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
) -> ImportReport:
    """Import a CSV file of current members or of membership spells, told apart by its columns.

    ``index`` is the index of all rows (spells need it), ``exchange`` the code of the exchange of rows that
    name none, ``columns`` maps fields to columns, ``into`` is ``screener`` or ``registry`` (members go to the
    screener where there is one unless told otherwise, spells only to the registry), ``rejects`` the file for
    rejected rows (``var/rejects/<file>.csv``), ``steps`` is told how far it has come. Everything is written in one
    transaction or nothing is; nothing is ever deleted; a second import changes nothing.

    Raises ImportFileError, ImportOptionError (nothing was tried), StoreUnreachableError, WriteRefusedError.
    """
    source = Path(path)
    target = Path(rejects) if rejects else _default_rejects(source)
    option = _check_options(source, target, index, exchange, into)
    steps = steps or Silent()
    steps.begin(f"{source.name}: reading")
    with opened(source, columns or {}, index) as (layout, rows):
        found = [(row, problem(row, layout)) for row in counted(rows, steps)]
    readable = [row for row, wrong in found if wrong is None]
    unreadable = [wrong for _, wrong in found if wrong is not None]
    job = Job(source, target, index, option, into, layout, readable, unreadable, steps)
    steps.begin(f"{source.name}: {len(found)} rows read, deciding what each stands for")
    return _import_spells(job) if layout.form is Form.SPELLS else _import_members(job)


def _import_members(job: Job) -> ImportReport:
    clues = [members.clue_of(row, job.index) for row in job.rows]
    decided, rejected = members.decide(job.rows, job.layout, job.index, _evidence(clues, job.option))
    alias = STORES[job.into or present()[0].value]
    with importing(alias):
        changed = write_members(alias, decided, job.steps)
        # Inside the transaction of the other store: where this fails, nothing is written there either.
        known.add_indices((member.index_id for member in decided), job.option)
        return _report(job, [*job.unreadable, *rejected], len(changed))


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
    with importing(REGISTRY):
        stored = stored_spells(index, (spell.instrument_key for spell in parsed))
        decided = spells.compare(parsed, job.layout, stored)
        write_spells(index, decided.new, job.path.name, job.steps)
        known.add_indices([index], job.option)
        return _report(job, [*job.unreadable, *rejected, *decided.rejections], len(decided.new))


def _report(job: Job, rejections: Iterable[Rejection], accepted: int) -> ImportReport:
    rejected = list(rejections)
    rejects.write(job.rejects, job.layout, rejected)
    read = len(job.rows) + len(job.unreadable)
    return ImportReport(
        file=str(job.path),
        read=read,
        accepted=accepted,
        rejected=len(rejected),
        unchanged=read - accepted - len(rejected),
        rejects_path=job.rejects,
    )


def _evidence(clues: Sequence[Clue], option: Exchange | None) -> Evidence:
    return Evidence(here=gather(clues), stored=known.listings(wanted(clues)), option=option)


def _default_rejects(source: Path) -> Path:
    folder = settings.BASE_DIR / "var" / "rejects"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ImportOptionError(f"the folder {folder} for rejected rows cannot be made ({exc.strerror})") from exc
    return Path(folder / f"{source.stem}.csv")


def _check_options(
    source: Path, target: Path, index: str | None, exchange: str | None, into: str | None
) -> Exchange | None:
    if into is not None and into not in STORES:
        raise ImportOptionError(f"--into {into!r}; valid are {', '.join(sorted(STORES))}")
    if into == Store.SCREENER and Store.SCREENER not in present():
        raise ImportOptionError("there is no screener store, as SCREENER_DATABASE_URL is none; valid: --into registry")
    if exchange is not None and exchange not in EXCHANGES:
        raise ImportOptionError(f"--exchange {exchange!r}; valid are {', '.join(EXCHANGES)}")
    if index is not None and (not index.strip() or index != index.strip() or not index.isprintable()):
        raise ImportOptionError(f"--index {index!r}; valid is any text without surrounding blanks")
    if source.resolve() == target.resolve():
        raise ImportOptionError(f"the rejects file {target} is the imported file itself")
    return EXCHANGES[exchange] if exchange else None
