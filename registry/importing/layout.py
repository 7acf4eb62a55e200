"""Which form a file has and where its fields are, told from its header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from registry.exceptions import ImportFileError, ImportOptionError
from registry.exchanges import INDICES


class Form(Enum):
    """What the rows of a file are."""

    MEMBERS = "current members"
    SPELLS = "membership spells"


# Field -> the columns it is read from when none is given, in order of preference.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "index": ("index_name", "index", "index_id"),
    "symbol": ("symbol",),
    "name": ("name",),
    "country": ("country",),
    "isin": ("isin",),
    "figi": ("figi",),
    "exchange": ("exchange_symbol", "exchange"),
    "currency": ("currency",),
    "sector": ("industries", "sector"),
    "opt_in": ("opt_in",),
    "opt_out": ("opt_out",),
}
NEEDS = "current members need symbol and index (or --index); spells need symbol, opt_in, opt_out and --index"


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's form, its header, and the position of each field that it has."""

    form: Form
    header: tuple[str, ...]
    positions: Mapping[str, int]

    def column(self, field: str) -> str:
        """The name of the column a field is read from; the field's own name when the file has none."""
        return self.header[self.positions[field]] if field in self.positions else field


def recognise(header: Sequence[str], given: Mapping[str, str], index: str | None) -> Layout:
    """Find form and fields of a file.

    ``given`` maps fields to columns chosen by the user. Raises ImportOptionError for a field or column that
    does not exist, ImportFileError when the columns fit neither form.
    """
    names = tuple(name.strip() for name in header)
    positions = _positions(names, given)
    spells = "opt_in" in positions or "opt_out" in positions
    needed = {"symbol", "opt_in", "opt_out"} if spells else {"symbol"} | ({"index"} if not index else set())
    if missing := needed - positions.keys():
        found = ", ".join(f"{f} (column {names[p]})" for f, p in positions.items()) or "nothing"
        lacking = f"it lacks {', '.join(sorted(missing))}; recognised were {found}"
        raise ImportFileError(f"{lacking}; {NEEDS}; --column FIELD=COLUMN names a field's column")
    if spells and not index:
        known = ", ".join(INDICES)
        raise ImportOptionError(f"a file of spells needs --index; known are {known}; others need --exchange")
    return Layout(Form.SPELLS if spells else Form.MEMBERS, names, positions)


def _positions(names: tuple[str, ...], given: Mapping[str, str]) -> dict[str, int]:
    for field, column in given.items():
        if field not in COLUMNS:
            raise ImportOptionError(f"--column has no field {field!r}; fields are {', '.join(COLUMNS)}")
        if column not in names:
            raise ImportOptionError(f"the file has no column {column!r}; its columns are {', '.join(names)}")
    wanted = {field: (given[field],) if field in given else columns for field, columns in COLUMNS.items()}
    found = {field: next((c for c in columns if c in names), None) for field, columns in wanted.items()}
    return {field: names.index(column) for field, column in found.items() if column is not None}
