"""SQL of the engine, by file and name.

A file holds statements, each headed by `-- name: the_name` and a line of intent. `statement("outbox", "pending")` is
the text of one; `compose` fills the {places} of a template with fragments that come from a stream's declaration
(code, never input). Values are always bound by the driver.
"""

import re
from functools import cache
from pathlib import Path

from psycopg import sql

_HEAD = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def named_statements(path: Path) -> dict[str, str]:
    """The statements of such a file by their names."""
    parts = _HEAD.split(path.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@cache
def _file(name: str) -> dict[str, str]:
    return named_statements(Path(__file__).parent / f"{name}.sql")


def statement(file: str, name: str) -> str:
    """The named statement of `sql/<file>.sql`; raises KeyError when there is none."""
    return _file(file)[name]


def compose(file: str, name: str, **fragments: sql.Composable) -> sql.Composed:
    """The named template with its {places} filled."""
    return sql.SQL(statement(file, name)).format(**fragments)
