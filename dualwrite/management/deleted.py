"""The verbs about rows that the relay deleted from the mirror."""

from dataclasses import asdict
from datetime import UTC, datetime

from dualwrite.control.deleted import MOST, Deleted, deleted, undelete
from dualwrite.exceptions import UsageError
from dualwrite.management.answering import Answer, Options, one_stream
from dualwrite.management.base import actor, chosen_streams
from dualwrite.management.render import table


def do_deleted(options: Options) -> Answer:
    """Rows that the relay deleted from the mirror and keeps for a while; --key, --since."""
    since = _time(options["since"])
    found, more = list[Deleted](), False
    for stream in chosen_streams(options):
        of_it = deleted(stream, options["key"], since, MOST + 1)
        found, more = [*found, *of_it[:MOST]], more or len(of_it) > MOST
    rows = [[row.stream, row.store, row.key, f"{row.deleted_at:%Y-%m-%d %H:%M:%S} UTC"] for row in found]
    text = table(["stream", "from", "key", "deleted"], rows) if found else "no deleted row is kept"
    if more:
        text += f"\nThere are more: these are the last {MOST} of a stream. --key shows any; undelete takes all."
    return Answer({"deleted": [asdict(row) for row in found], "more": more}, text)


def do_undelete(options: Options) -> Answer:
    """Write deleted records again, where writes go: --key or --since; needs --stream and --reason."""
    done = undelete(
        one_stream(options),
        actor(options),
        keys=options["key"],
        since=_time(options["since"]),
        dry_run=options["dry_run"],
    )
    word = "would be written again" if options["dry_run"] else "written again"
    lines = [f"{done.stream}: {done.written} records {word}, {done.there} are there already"]
    lines += [f"! {done.stream}: {key} cannot be written: {why}" for key, why in done.refused.items()]
    return Answer({**asdict(done), "dry_run": options["dry_run"]}, "\n".join(lines), 1 if done.refused else 0)


def _time(text: str | None) -> datetime | None:
    """The point in time in an option, in UTC unless it says otherwise; raises UsageError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise UsageError(f"--since {text} is no point in time; valid: 2026-05-01, 2026-05-01T12:00Z") from exc
