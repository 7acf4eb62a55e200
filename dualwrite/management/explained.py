"""The life of one record as text for people."""

from datetime import datetime
from typing import Any

from dualwrite.control.explain import Compared, Explained, InStore, Parked


def explained_text(found: Explained) -> str:
    """What is known of the key, a line for each thing; times in UTC."""
    lines = [f"{found.key} of {found.stream}"]
    for side in found.stores:
        lines += _store_lines(side)
    lines += [
        _line("differs", _differing(found.differing)),
        _line("waits", "no" if found.waits_seconds is None else f"for {found.waits_seconds:.1f} s to be relayed"),
        _line("parked", _parked(found.parked)),
        _line("relayed", _relayed(found.relayed_at)),
        _line("compared", _compared(found.compared)),
        *[_line("before", _fields(row)) for row in found.history],
    ]
    return "\n".join([*lines, *[f"! {why}" for why in found.unknown]])


def _line(what: str, text: str) -> str:
    return f"  {what:<10}{text}"


def _store_lines(side: InStore) -> list[str]:
    name = f"{side.store} ({side.role})"
    if side.records is None:
        return [_line(name, "  could not be asked")]
    return [_line(name, f"  {_fields(record)}") for record in side.records] or [_line(name, "  no such record")]


def _fields(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {'-' if value is None else value}" for name, value in record.items())


def _differing(names: list[str] | None) -> str:
    if names is None:
        return "cannot be told"
    return f"in {', '.join(names)}" if names else "no"


def _parked(parked: Parked | None) -> str:
    if parked is None:
        return "no"
    again = f"again at {_time(parked.again)}" if parked.again else "again when written or redriven"
    return f"since {_time(parked.since)}, tried {parked.attempts} times, {again}: {parked.error}"


def _relayed(at: datetime | None) -> str:
    return f"last at {_time(at)}" if at else "nothing since it was last compared"


def _compared(last: Compared | None) -> str:
    if last is None:
        return "never as a part of everything"
    return f"with everything by run {last.run} at {_time(last.at)}, level {last.level}: {last.status}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
