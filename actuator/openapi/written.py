"""What is written of the description into files: the description itself, and who may call what."""

import re
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from dualwrite.clearance import Clearance

SECURITY = "docs/security.md"
BEGINS, ENDS = "<!-- table: written by manage.py describe_api -->", "<!-- end of table -->"
ANYBODY = "anybody"


@cache
def schema() -> dict[str, Any]:
    """The description, as `GET /api/schema/` answers it; it is the same as long as the process lives."""
    found: dict[str, Any] = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return found


def description() -> str:
    """The same as YAML."""
    return as_yaml(schema())


def as_yaml(found: dict[str, Any]) -> str:
    """A description as YAML."""
    text: bytes = OpenApiYamlRenderer().render(found, renderer_context={})  # type: ignore[no-untyped-call]
    return text.decode()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of each, in the order of the paths."""
    return [
        (path, method.upper(), operation)
        for path, methods in sorted(schema()["paths"].items())
        for method, operation in methods.items()
    ]


def table() -> str:
    """Which role may call which endpoint."""
    head = ["endpoint", ANYBODY, *Clearance]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for path, method, operation in operations():
        cells = ["yes" if may(who, operation["x-role"]) else "" for who in (None, *Clearance)]
        lines.append(f"| `{method} {path}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def may(who: Clearance | None, needed: str) -> bool:
    """Whether somebody of that clearance may call what needs the other."""
    if needed == ANYBODY:
        return True
    return who is not None and who.covers(Clearance(needed))


def with_table(text: str) -> str:
    """The text with the table as it is now between its two marks."""
    made = f"{BEGINS}\n\n{table()}\n\n{ENDS}"
    if BEGINS not in text:
        return f"{text.rstrip()}\n\n{made}\n"
    return re.sub(f"{re.escape(BEGINS)}.*{re.escape(ENDS)}", lambda _: made, text, flags=re.DOTALL)
