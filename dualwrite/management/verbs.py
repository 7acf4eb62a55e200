"""The verbs of `manage.py dualwrite`: each takes the parsed options and returns (data for --json, text, exit code)."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from dualwrite import capture, switch
from dualwrite.control import status
from dualwrite.control.advance import advance, rollback
from dualwrite.control.asked import Asked
from dualwrite.control.backfill import Backfilled, backfill
from dualwrite.control.enable import Enabled, enable
from dualwrite.control.pair import pair
from dualwrite.control.partitions import VALID, repartition
from dualwrite.control.pause import pause, resume
from dualwrite.control.plan import numbered, pausing, resuming
from dualwrite.control.rehearsal import as_text, rehearse
from dualwrite.control.step import GatesClosed, Moved, Say
from dualwrite.control.uninstall import uninstall
from dualwrite.emergency import stop
from dualwrite.exceptions import UsageError
from dualwrite.management.answering import Answer, Options, each, mirrored, named_store, one_stream
from dualwrite.management.base import actor, chosen_streams
from dualwrite.management.deleted import do_deleted, do_undelete
from dualwrite.management.keys import do_explain, do_parked, do_redrive, do_skip
from dualwrite.management.progress import Steps
from dualwrite.management.render import disabled_text, moved_text, status_text
from dualwrite.relay.way import way
from dualwrite.stages import stage_named, store_named
from dualwrite.stores import present
from dualwrite.stream import Stream


def do_status(options: Options) -> Answer:
    """How each stream stands."""
    rows = [status.stream_status(stream) for stream in chosen_streams(options)]
    unknown = any(row["authority"] is None or row["stage"] is None for row in rows)
    return Answer({"streams": rows}, status_text(rows), 3 if unknown else 0)


def do_install(options: Options) -> Answer:
    """Put schema, functions and triggers into a store."""
    store = named_store(options)
    done = capture.install(store, options["role"])
    return Answer({"store": store, "streams": done}, "\n".join(f"{store} {n}: {what}" for n, what in done.items()))


def do_uninstall(options: Options) -> Answer:
    """Take them out again."""
    store = named_store(options)
    uninstall(store, actor(options), force=options["force"])
    kept = (
        "the tables of schema dualwrite stay, so that epochs and audit are kept; drop it when nothing is to come back"
    )
    return Answer({"store": store, "kept": kept}, f"{store}: triggers and functions removed; {kept}")


def do_sql(options: Options) -> Answer:
    """Print what install would run, for the database's own administrator."""
    script = capture.installation_sql(named_store(options), options["role"] or "dualwrite_engine")
    return Answer({"sql": script}, script)


def do_enable(options: Options) -> Answer:
    """Let the registry follow: capture, backfill, relay."""
    streams, left = mirrored(options)
    rows = [{**asdict(Enabled(name, None, 0, changed=False)), "sentence": why} for name, why in left.items()]
    with Steps() as steps:
        for stream in streams:
            steps.begin(f"{stream.name}: comparing both stores, then noting their keys")
            done = enable(stream, actor(options), force=options["force"], dry_run=options["dry_run"], progress=steps.at)
            what = done.preview.sentence() if done.preview else "enabled already"
            rows.append({**asdict(done), "sentence": what})
    code = 1 if any(row["blocked"] for row in rows) else 0
    return Answer({"streams": rows}, "\n".join(line for row in rows for line in _enabled_lines(row)), code)


def _enabled_lines(row: dict[str, Any]) -> list[str]:
    noted = f"; {row['noted']} keys noted" if row["noted"] else ""
    return [f"{row['stream']}: {row['sentence']}{noted}", *(f"! {row['stream']}: {why}" for why in row["blocked"])]


def do_disable(options: Options) -> Answer:
    """Emergency stop: note nothing any more; without --stream of every stream."""
    found = stop(chosen_streams(options), actor(options), dry_run=options["dry_run"])
    rows = [one.as_data() for one in found]
    code = max((0 if one.is_stopped else one.error.exit_code if one.error else 3 for one in found), default=0)
    return Answer({"streams": rows}, disabled_text(rows, dry_run=options["dry_run"]), code)


def do_backfill(options: Options) -> Answer:
    """Note every key of both stores once more."""
    streams, left = mirrored(options)
    rows = [{**asdict(Backfilled(name, None, 0)), "sentence": why} for name, why in left.items()]
    with Steps() as steps:
        for stream in streams:
            steps.begin(f"{stream.name}: noting the keys of both stores")
            done = backfill(stream, actor(options), dry_run=options["dry_run"], progress=steps.at)
            what = done.preview.sentence() if done.preview else f"{done.noted} keys noted"
            rows.append({**asdict(done), "sentence": what})
    return Answer({"streams": rows}, "\n".join(f"{row['stream']}: {row['sentence']}" for row in rows))


def do_advance(options: Options) -> Answer:
    """Go one stage forward, from the stage --from where that is said; --dry-run prints the plan and what blocks it."""
    return _move(options, advance)


def do_rollback(options: Options) -> Answer:
    """Go one stage back, or to an earlier one with --to, from the stage --from where that is said; needs --reason."""
    return _move(options, rollback)


def _move(options: Options, verb: Callable[..., Moved]) -> Answer:
    stream = one_stream(options)
    to = stage_named(options["to"]) if options["to"] is not None else None
    asked = Asked(stage_named(options["from"]) if options["from"] is not None else None, options["asked_at"])
    given = {"to": to, "asked": asked, "force": options["force"], "dry_run": options["dry_run"]}
    try:
        with Steps() as steps:
            moved = verb(stream, actor(options), **given, progress=_saying(stream, steps))
    except GatesClosed as exc:
        moved = exc.moved
    return Answer(asdict(moved), moved_text(moved, dry_run=options["dry_run"]), 1 if moved.blocked else 0)


def _saying(stream: Stream, steps: Steps) -> Say:
    return lambda sentence: steps.begin(f"{stream.name}: {sentence}")


def do_rehearse(options: Options) -> Answer:
    """Switch there and back on a scratch stream under load, without touching a real one; --seconds, --rate."""
    if options["stream"] is not None or options["all"]:
        raise UsageError("rehearse takes no --stream and no --all: it makes a stream of its own")
    asked = {name: options[name] for name in ("seconds", "rate") if options[name] is not None}
    with Steps() as steps:
        found = rehearse(actor(options), **asked, progress=steps.begin)
    return Answer({**asdict(found), "passed": found.passed}, as_text(found), 0 if found.passed else 1)


def do_pair(options: Options) -> Answer:
    """Take both databases as they are for the pair; --store names the one whose records count, where that is asked."""
    right = store_named(options["store"]) if options["store"] is not None else None
    found = pair(actor(options), force=options["force"], right=right)
    rows = [
        {"stream": name, "authority": row.store, "epoch": row.epoch, "capture": row.capture}
        for name, row in found.items()
    ]
    lines = [
        f"{row['stream']}: the {row['authority']} store takes the writes, epoch {row['epoch']}"
        + ("" if row["capture"] else "; nothing is noted or relayed until it is enabled")
        for row in rows
    ]
    return Answer({"streams": rows}, "\n".join(lines))


def do_pause(options: Options) -> Answer:
    """Stop relaying; writes go on being noted."""
    who, dry_run = actor(options), options["dry_run"]

    def hold(stream: Stream) -> str:
        changed = pause(stream, who, dry_run=dry_run)
        return _relaying(changed, ("paused", "paused already"), pausing(stream.name), dry_run=dry_run)

    return each(options, hold)


def do_resume(options: Options) -> Answer:
    """Go on relaying."""
    who, dry_run, force = actor(options), options["dry_run"], options["force"]

    def go_on(stream: Stream) -> str:
        changed = resume(stream, who, force=force, dry_run=dry_run)
        plan = resuming(stream.name, force=force)
        return _relaying(changed, ("resumed", "was not paused"), plan, dry_run=dry_run)

    return each(options, go_on)


def _relaying(changed: bool, words: tuple[str, str], plan: list[str], *, dry_run: bool) -> str:
    """What was done, the first word, or was so already, the second; of a dry run the plan."""
    if dry_run and changed:
        return "\n".join([f"would be {words[0]}", *numbered(plan)])
    return words[0] if changed else words[1]


def do_partitions(options: Options) -> Answer:
    """Into how many partitions the keys of a stream fall; --to changes it, relaying what waits first."""
    stream = one_stream(options)
    if options["to"] is None:
        found = switch.authority(stream).partitions
        way(stream)  # refuses where they are changed half-way, and says what mends it
        return Answer({"stream": stream.name, "partitions": found}, f"{stream.name}: {found} partitions")
    with Steps() as steps:
        done = repartition(
            stream, number(options["to"]), actor(options), dry_run=options["dry_run"], progress=_saying(stream, steps)
        )
    would = "would have" if options["dry_run"] else "has"
    told = f"{stream.name}: {would} {done.partitions} partitions" + (
        f" instead of {done.before}" if done.changed else ""
    )
    return Answer(asdict(done), told)


def number(text: str) -> int:
    """The number in an option; raises UsageError."""
    if text not in map(str, VALID):
        raise UsageError(f"--to {text} is no number of partitions; valid: {', '.join(map(str, VALID))}")
    return int(text)


def do_verify(options: Options) -> Answer:
    """Check that capture is as installed, in every store."""
    rows = [
        {"stream": stream.name, "store": store, "problems": capture.problems(stream, store)}
        for stream in chosen_streams(options)
        for store in present()
    ]
    lines = [f"{r['stream']} {r['store']}: {'; '.join(r['problems']) or 'as installed'}" for r in rows]
    return Answer({"capture": rows}, "\n".join(lines), 1 if any(r["problems"] for r in rows) else 0)


VERBS: dict[str, Callable[[Options], Answer]] = {
    "status": do_status,
    "install": do_install,
    "uninstall": do_uninstall,
    "sql": do_sql,
    "enable": do_enable,
    "disable": do_disable,
    "pair": do_pair,
    "pause": do_pause,
    "resume": do_resume,
    "advance": do_advance,
    "rollback": do_rollback,
    "backfill": do_backfill,
    "parked": do_parked,
    "redrive": do_redrive,
    "skip": do_skip,
    "deleted": do_deleted,
    "undelete": do_undelete,
    "explain": do_explain,
    "partitions": do_partitions,
    "verify": do_verify,
    "rehearse": do_rehearse,
}

#: An option that would be passed over in silence may have been meant: --dry-run above all.
TAKEN_BY: dict[str, frozenset[str]] = {
    "dry_run": frozenset(
        {"enable", "disable", "pause", "resume", "advance", "rollback", "backfill", "partitions", "undelete"}
    ),
    "force": frozenset({"enable", "pair", "resume", "advance", "rollback", "uninstall"}),
    "to": frozenset({"advance", "rollback", "partitions"}),
    "from": frozenset({"advance", "rollback"}),
    "store": frozenset({"install", "uninstall", "sql", "pair"}),
    "role": frozenset({"install", "sql"}),
    "key": frozenset({"redrive", "skip", "explain", "deleted", "undelete"}),
    "since": frozenset({"deleted", "undelete"}),
    "words": frozenset({"explain"}),
    "seconds": frozenset({"rehearse"}),
    "rate": frozenset({"rehearse"}),
}


def require_taken(verb: str, options: Options) -> None:
    """Raise UsageError for an option the verb does not take, naming the verbs that do; or for a role without a name."""
    if options["role"] == "":
        raise UsageError("--role is empty; name a database role")
    for name, verbs in TAKEN_BY.items():
        value = options[name]
        given = value is not None and value is not False and value != []  # an empty text or 0 is given, too
        if given and verb not in verbs and name == "words":
            raise UsageError(f"{verb} takes no {' '.join(options[name])}; valid: options alone")
        if given and verb not in verbs:
            raise UsageError(f"{verb} takes no --{name.replace('_', '-')}; valid with {', '.join(sorted(verbs))}")
