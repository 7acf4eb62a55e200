"""How rows and findings are shown: nothing can be changed, JSON is readable, evidence is short."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

#: Longer evidence is cut in the line, and shown in full when it is unfolded.
LINE_WIDTH = 90
GATES = "admin/dualwrite/gates.html"


#: The permission to steer streams.
OPERATE = "dualwrite.operate_stream"


class ReadOnly:
    """Shows rows and offers no way to change them."""

    class Media:
        css: ClassVar = {"all": ("dualwrite/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Nobody changes them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        """Nobody deletes them."""
        return False


class Operated:
    """Has actions for those who may steer streams."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may use them."""
        return request.user.has_perm(OPERATE)


class OfStream:
    """Rows about a stream, which they lead to."""

    @admin.display(description="stream", ordering="stream")
    def stream_page(self, row: Any) -> SafeString | str:
        """The stream's name, as a link to its page."""
        if not row.stream:
            return "-"
        return format_html('<a href="{}">{}</a>', stream_address(row.stream), row.stream)


def stream_address(stream: str) -> str:
    """The address of the stream's page."""
    return reverse("admin:dualwrite_streamcontrol_change", args=[stream])


def readable(value: Any) -> SafeString | str:
    """JSON as an indented block; a dash for nothing."""
    if value in (None, [], {}):
        return "-"
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="dw-json">{}</pre>', text)


@dataclass(frozen=True)
class ShownGate:
    """A gate as the pages show it; `later`: not asked yet; `facts` are its evidence, `line` their beginning."""

    name: str
    passed: bool
    later: bool
    forcible: bool
    why: str
    mend: str
    facts: list[tuple[str, str]]
    line: str


def shown_gates(gates: Iterable[Mapping[str, Any]]) -> list[ShownGate]:
    """Findings as they were found or kept."""
    return [_shown(gate) for gate in gates]


def gates_table(gates: Iterable[Mapping[str, Any]]) -> str:
    """The same as a table."""
    return render_to_string(GATES, {"gates": shown_gates(gates)})


def _shown(gate: Mapping[str, Any]) -> ShownGate:
    evidence = gate.get("evidence") or {}
    found = list(facts(evidence))
    line = ", ".join(f"{name} {value}" for name, value in found)
    return ShownGate(
        name=str(gate.get("gate", "")).replace("_", " "),
        passed=bool(gate.get("passed")),
        later="skipped" in evidence,
        forcible=bool(gate.get("forcible")),
        why=str(gate.get("why", "")),
        mend=str(gate.get("mend", "")),
        facts=found,
        line=line if len(line) <= LINE_WIDTH else f"{line[: LINE_WIDTH - 1]}…",
    )


def facts(evidence: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name and value of each fact, nested ones under the names of both; what is empty is left out."""
    for name, value in evidence.items():
        named = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from facts(value, f"{named} ")
        elif value not in (None, "", []):
            yield named, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "; ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {found}" for name, found in facts(value))
    return str(value)
