"""Text for people: tables and the status page of the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from dualwrite.control.gates import Finding
from dualwrite.control.plan import numbered
from dualwrite.control.step import Moved

EVIDENCE_WIDTH = 100
VALUE_WIDTH = 24


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table, columns as wide as their widest cell."""
    cells = [[str(c) for c in head], *[["" if c is None else str(c) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def status_text(rows: Sequence[dict[str, Any]]) -> str:
    """One line per stream, then what is half-done or blocked, each with the command that mends it."""
    head = [
        "stream",
        "stage",
        "authority",
        "mirroring",
        "verified",
        "pending",
        "oldest",
        "parked",
        "relayed",
        "last validation",
    ]
    lines = [table(head, [_status_row(row) for row in rows])]
    for row in rows:
        if row["transition"]:
            lines.append(f"! {row['name']}: half-done: {row['transition']}")
        lines += [f"! {row['name']}: {b['why']}\n    {b['mend']}" for b in row["blocked_by"]]
    return "\n".join(lines)


def _status_row(row: dict[str, Any]) -> list[object]:
    outbox, last = row["outbox"], row["last_validation"]
    pending = "?" if outbox["pending"] is None else f"{'~' if outbox['pending_is_estimate'] else ''}{outbox['pending']}"
    oldest = "" if not outbox["pending"] else f"{outbox['oldest_age_seconds']:.1f} s"
    validation = f"{last['status']} ({last['level']}, {last['finished_at'] or 'running'})" if last else "never"
    return [
        row["name"],
        row["stage"] or "?",
        row["authority"] or "?",
        row["mirroring"] or "?",
        "yes" if row["verified"] else "no",
        pending,
        oldest,
        "?" if row["parked"] is None else row["parked"],
        "?" if row["relayed_total"] is None else row["relayed_total"],
        validation,
    ]


def moved_text(moved: Moved, *, dry_run: bool) -> str:
    """What was done, or would be: the stages, how long writers waited, the plan of a dry run, the gates."""
    lines = [_headline(moved, dry_run=dry_run)]
    if dry_run:
        lines += ["", *numbered(moved.plan)]
    if moved.gates:
        rows = [[gate.gate, _gate_state(gate, moved), in_short(gate.evidence)] for gate in moved.gates]
        lines += ["", table(["gate", "state", "evidence"], rows)]
    lines += [f"! {gate.gate}: {gate.why}\n    {gate.mend}" for gate in moved.gates if not gate.passed]
    if moved.blocked and not moved.gates:
        lines += [f"! {why}" for why in moved.blocked]
    return "\n".join(lines)


def _headline(moved: Moved, *, dry_run: bool) -> str:
    what = f"{moved.stream}: {moved.before} → {moved.after}"
    if moved.blocked:
        return f"{what}: refused" if not dry_run else f"{what}: would be refused"
    if dry_run:
        return f"{what}: nothing blocks it"
    waited = f"; writers waited {moved.stall_seconds * 1000:.0f} ms" if moved.stall_seconds is not None else ""
    kept = f"; transition {moved.transition}" if moved.transition is not None else ""
    return f"{what}{waited}{kept}" if moved.changed else f"{what}: so already"


def _gate_state(gate: Finding, moved: Moved) -> str:
    if gate.passed:
        return "open"
    if moved.changed:
        return "overridden"
    return "CLOSED" if gate.forcible else "CLOSED, never forced"


def in_short(evidence: Mapping[str, Any]) -> str:
    """The evidence on one line; nested facts by their own names."""
    text = ", ".join(f"{name} {_plain(value)}" for name, value in evidence.items() if value not in (None, "", [], {}))
    return text if len(text) <= EVIDENCE_WIDTH else f"{text[: EVIDENCE_WIDTH - 1]}…"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({in_short(value)})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"


def disabled_text(rows: Sequence[Mapping[str, Any]], *, dry_run: bool) -> str:
    """A line a stream, then what could not be done elsewhere."""
    lines = []
    for row in rows:
        lines.append(f"{row['stream']}: {_disabled_sentence(row, dry_run)}")
        if row["changed"]:
            lines += numbered(list(row.get("plan", ())))
        lines += [f"! {row['stream']}: {left}" for left in row.get("pending", ())]
    return "\n".join(lines)


def _disabled_sentence(row: Mapping[str, Any], dry_run: bool) -> str:
    if row["error"]:
        return f"NOT disabled: {row['error']}"
    if not row["changed"]:
        return "nothing is mirrored already"
    if dry_run:
        return f"writes to the {row['authority']} store would no longer be noted"
    return f"disabled; writes to the {row['authority']} store are no longer noted, and the mirror is unverified"
