"""Plans, parts and findings as tables that can be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dualwrite.admin.retention.verbs import address
from dualwrite.models import RetentionRun

TEMPLATES = "admin/dualwrite/retention"


@dataclass(frozen=True)
class Planned:
    """A plan as it is shown: facts, the first rows, what stands in the way; `asked`: when it was made."""

    run: RetentionRun
    facts: list[tuple[str, object]]
    examples: list[dict[str, str]]
    refused: str
    braked: str
    referrers: list[str]


def planned(run: RetentionRun) -> Planned:
    """What a run found would go."""
    plan = run.plan
    return Planned(
        run=run,
        facts=[(name, value) for name, value in _facts(run, plan) if value not in ("", None)],
        examples=plan.get("examples", []),
        refused=plan.get("refused", ""),
        braked=plan.get("braked", ""),
        referrers=plan.get("referrers", []),
    )


def _facts(run: RetentionRun, plan: dict[str, Any]) -> list[tuple[str, object]]:
    rows, of = plan.get("rows", 0), plan.get("of", 0)
    frozen = run.frozen
    return [
        ("planned at", moment(run.started_at)),
        ("action", f"{frozen.get('action')} rows of {frozen.get('table')}"),
        ("older than", run.cutoff and f"{moment(run.cutoff)} ({frozen.get('days')} days, by {frozen.get('date')})"),
        ("rows that go", f"{rows:,} of {of:,}{f' ({100 * rows / of:.1f} %)' if of else ''}"),
        ("size", filesizeformat(plan.get("bytes", 0))),
        ("oldest", plan.get("oldest")),
        ("newest", plan.get("newest")),
        ("old, and stay", f"{plan['kept_back']:,} (held, or waiting to be relayed)" if plan.get("kept_back") else ""),
        ("holds", _held(plan.get("holds") or {})),
        ("backup before", "yes" if frozen.get("backup") else "no: the rows stay in the archive or are marked"),
    ]


def _held(holds: dict[str, Any]) -> str:
    if holds.get("everything"):
        return "the whole table"
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in holds.get("values", {}).items())


def plan_table(run: RetentionRun) -> SafeString | str:
    """The plan as a table; a dash before there is one."""
    return render_to_string(f"{TEMPLATES}/plan.html", {"plan": planned(run)}) if run.plan else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString | str:
    """Rows under their head; a dash where there are none."""
    listed = list(rows)
    return render_to_string(f"{TEMPLATES}/table.html", {"head": head, "rows": listed}) if listed else "-"


def moment(value: datetime | None) -> str:
    """To the second; a dash where there is none."""
    return f"{value:%Y-%m-%d %H:%M:%S %Z}" if value else "-"


def day(value: datetime | None, never: str = "-") -> str:
    """The day alone, for lists."""
    return f"{value:%Y-%m-%d}" if value else never


def link(model: str, number: object, text: object = "") -> SafeString | str:
    """A link to a row's page."""
    return format_html('<a href="{}">{}</a>', address(model, "change", number), text or number)


def size(value: int) -> str:
    """Bytes for people."""
    return str(filesizeformat(value))
