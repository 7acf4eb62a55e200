"""Text for people: tables and the status page of the terminal."""

from collections.abc import Sequence
from typing import Any


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
