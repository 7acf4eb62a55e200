"""A file that was sent, not named: looked at, then imported, by the same import as files on disk."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dualwrite import switch
from dualwrite.stream import all_streams
from registry.exceptions import ImportFileError, ImportOptionError
from registry.importing.difference import plan_of
from registry.importing.layout import Form
from registry.importing.reading import opened
from registry.importing.report import ImportReport
from registry.importing.run import import_file


@dataclass(frozen=True)
class Sent:
    """The file's name and content, and how it is to be read: as `import_file` has it."""

    name: str
    content: bytes
    index: str | None = None
    exchange: str | None = None
    columns: Mapping[str, str] | None = None
    into: str | None = None


@dataclass(frozen=True)
class Imported:
    """What was done, or would be; the rejected rows as CSV; and the plan, by which to ask for just that."""

    report: ImportReport
    rejects: str
    plan: str


def import_sent(sent: Sent, *, actor: str, dry_run: bool, plan: str | None = None) -> Imported:
    """Import a file that was sent, or only look what that would do.

    Without `into`, members go to the store that takes the writes of every stream. Raises what `import_file` raises.
    """
    name = Path(sent.name.replace("\\", "/")).name or "upload.csv"
    if name.startswith(".") or not name.isprintable() or len(name.encode()) > 200:
        raise ImportFileError(f"a file of the name {name!r} cannot be kept")
    with tempfile.TemporaryDirectory(prefix="import-") as folder:
        path, rejects = Path(folder) / name, Path(folder) / ".rejects"
        path.write_bytes(sent.content)
        with opened(path, sent.columns or {}, sent.index) as (layout, _):
            form = layout.form
        into = sent.into or (authority_of_all() if form is Form.MEMBERS else None)
        report = import_file(
            path,
            index=sent.index,
            exchange=sent.exchange,
            columns=sent.columns,
            into=into,
            rejects=rejects,
            actor=actor,
            dry_run=dry_run,
            plan=plan,
        )
        told = rejects.read_text(encoding="utf-8", errors="backslashreplace")
    return Imported(report, told, plan_of(report.differences))


def authority_of_all() -> str:
    """The store that takes the writes of every stream; raises ImportOptionError when they are different ones."""
    found = {stream.name: switch.authority(stream).store.value for stream in all_streams()}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name}: {store}" for name, store in found.items())
        raise ImportOptionError(f"the streams' writes go to different stores ({told}); `into` names one")
    return next(iter(found.values()))
