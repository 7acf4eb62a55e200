"""The verbs of `manage.py dualwrite`: each takes the parsed options and returns (data for --json, text, exit code)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dualwrite import capture
from dualwrite.control import status
from dualwrite.control.enable import enable
from dualwrite.control.parked import parked, redrive
from dualwrite.control.pause import pause, resume
from dualwrite.control.uninstall import uninstall
from dualwrite.exceptions import UsageError
from dualwrite.management.base import actor, chosen_streams
from dualwrite.management.progress import Steps
from dualwrite.management.render import status_text, table
from dualwrite.stages import Store, store_named
from dualwrite.stream import Stream

Options = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a verb answers: an object for machines, text for people, the exit code."""

    data: dict[str, Any]
    text: str
    code: int = 0


def do_status(options: Options) -> Answer:
    """How each stream stands."""
    rows = [status.stream_status(stream) for stream in chosen_streams(options)]
    unknown = any(row["authority"] is None or row["stage"] is None for row in rows)
    return Answer({"streams": rows}, status_text(rows), 3 if unknown else 0)


def do_install(options: Options) -> Answer:
    """Put schema, functions and triggers into a store."""
    store = _store(options)
    done = capture.install(store, options["role"])
    return Answer({"store": store, "streams": done}, "\n".join(f"{store} {n}: {what}" for n, what in done.items()))


def do_uninstall(options: Options) -> Answer:
    """Take them out again."""
    store = _store(options)
    uninstall(store, actor(options), force=options["force"])
    kept = (
        "the tables of schema dualwrite stay, so that epochs and audit are kept; drop it when nothing is to come back"
    )
    return Answer({"store": store, "kept": kept}, f"{store}: triggers and functions removed; {kept}")


def do_sql(options: Options) -> Answer:
    """Print what install would run, for the database's own administrator."""
    script = capture.installation_sql(_store(options), options["role"] or "dualwrite_engine")
    return Answer({"sql": script}, script)


def do_enable(options: Options) -> Answer:
    """Let the registry follow: capture, backfill, relay."""
    rows = []
    with Steps() as steps:
        for stream in _streams(options):
            steps.begin(f"{stream.name}: comparing both stores, then noting their keys")
            done = enable(stream, actor(options), force=options["force"], dry_run=options["dry_run"], progress=steps.at)
            what = done.preview.sentence() if done.preview else "enabled already"
            rows.append({**asdict(done), "sentence": what})
    lines = [
        f"{row['stream']}: {row['sentence']}" + (f"; {row['noted']} keys noted" if row["noted"] else "") for row in rows
    ]
    return Answer({"streams": rows}, "\n".join(lines))


def do_pause(options: Options) -> Answer:
    """Stop relaying; writes go on being noted."""
    return _each(options, lambda stream: "paused" if pause(stream, actor(options)) else "paused already")


def do_resume(options: Options) -> Answer:
    """Go on relaying."""

    def go_on(stream: Stream) -> str:
        changed = resume(stream, actor(options), force=options["force"])
        return "resumed" if changed else "was not paused"

    return _each(options, go_on)


def do_parked(options: Options) -> Answer:
    """List keys that could not be applied."""
    rows = [row for stream in chosen_streams(options) for row in parked(stream)]
    found = [
        {
            "stream": row.stream,
            "key": row.key,
            "error": row.error,
            "attempts": row.attempts,
            "parked_at": row.first_parked_at,
            "record": row.record,
        }
        for row in rows
    ]
    text = table(["stream", "key", "error"], [[r["stream"], r["key"], r["error"]] for r in found])
    return Answer({"parked": found}, text if found else "no key is parked", 1 if found else 0)


def do_redrive(options: Options) -> Answer:
    """Send parked keys again."""
    keys = [options["key"]] if options["key"] else None
    if keys and not options["stream"]:
        raise UsageError("--key needs --stream")
    return _each(options, lambda stream: f"{redrive(stream, actor(options), keys)} keys noted again")


def do_verify(options: Options) -> Answer:
    """Check that capture is as installed, in both stores."""
    rows = [
        {"stream": stream.name, "store": store, "problems": capture.problems(stream, store)}
        for stream in chosen_streams(options)
        for store in Store
    ]
    lines = [f"{r['stream']} {r['store']}: {'; '.join(r['problems']) or 'as installed'}" for r in rows]
    return Answer({"capture": rows}, "\n".join(lines), 1 if any(r["problems"] for r in rows) else 0)


def _each(options: Options, verb: Callable[[Stream], str]) -> Answer:
    done = {stream.name: verb(stream) for stream in _streams(options)}
    return Answer({"streams": done}, "\n".join(f"{name}: {what}" for name, what in done.items()))


def _streams(options: Options) -> list[Stream]:
    if not options["stream"] and not options["all"]:
        raise UsageError("name a stream with --stream NAME, or take --all")
    return chosen_streams(options)


def _store(options: Options) -> Store:
    if not options["store"]:
        raise UsageError(f"name a store with --store; valid: {', '.join(Store)}")
    return store_named(options["store"])


VERBS: dict[str, Callable[[Options], Answer]] = {
    "status": do_status,
    "install": do_install,
    "uninstall": do_uninstall,
    "sql": do_sql,
    "enable": do_enable,
    "pause": do_pause,
    "resume": do_resume,
    "parked": do_parked,
    "redrive": do_redrive,
    "verify": do_verify,
}
