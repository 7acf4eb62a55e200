"""The verbs about single records: those that are parked, and the life of one."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from dualwrite.control.explain import explain
from dualwrite.control.parked import parked, redrive, skip
from dualwrite.exceptions import UsageError
from dualwrite.management.answering import Answer, Options, each, one_stream
from dualwrite.management.base import actor, chosen_streams
from dualwrite.management.explained import explained_text
from dualwrite.management.render import table
from dualwrite.stream import Stream, all_streams, key_text


def do_parked(options: Options) -> Answer:
    """List keys that could not be applied."""
    rows = [row for stream in chosen_streams(options) for row in parked(stream)]
    found = [
        {
            "stream": row.stream,
            "key": row.key,
            "error": row.error,
            "attempts": row.attempts,
            "next_attempt_at": row.next_attempt_at,
            "parked_at": row.first_parked_at,
            "record": row.record,
        }
        for row in rows
    ]
    text = table(
        ["stream", "key", "error", "tried", "again"],
        [[row.stream, row.key, row.error, row.attempts, _again(row.next_attempt_at)] for row in rows],
    )
    return Answer({"parked": found}, text if found else "no key is parked", 1 if found else 0)


def _again(at: datetime | None) -> str:
    return f"{at:%H:%M:%S} UTC" if at else "when written or redriven"


def do_redrive(options: Options) -> Answer:
    """Send parked keys again: all, or those of --stream that are given with --key, once for each."""
    keys = options["key"]
    if keys and not options["stream"]:
        raise UsageError("--key needs --stream")
    return each(options, lambda stream: f"{redrive(stream, actor(options), keys)} keys noted again")


def do_skip(options: Options) -> Answer:
    """Give a parked key up: it is listed no more, the mirror keeps what it has; needs --stream, --key and --reason."""
    stream = one_stream(options)
    keys: list[str] = options["key"] or []
    if len(keys) != 1:
        raise UsageError("name the key with --key, one at a time, as `dualwrite parked` shows it")
    given_up = skip(stream, actor(options), keys[0])
    data = {"stream": stream.name, "key": given_up.key, "error": given_up.error, "record": given_up.record}
    text = (
        f"{stream.name}: {given_up.key} is parked no more; the mirror keeps what it has of it until it is written again"
    )
    return Answer({"skipped": data}, text)


def do_explain(options: Options) -> Answer:
    """The life of one record: explain KEY, a JSON array or its parts as words; of --stream or of all it fits."""
    key = _key(options)
    streams = [one_stream(options)] if options["stream"] is not None else _fitting(key)
    found = [explain(stream, key) for stream in streams]
    code = 3 if any(one.unknown for one in found) else 0
    return Answer({"records": [asdict(one) for one in found]}, "\n\n".join(map(explained_text, found)), code)


def _key(options: Options) -> str:
    """The key as the engine writes it."""
    words = options["key"] or options["words"]
    if options["key"] and len(words) != 1:
        raise UsageError("name one key with --key; `dualwrite explain` tells the life of one record")
    if not words:
        raise UsageError("name the key: explain KEY, as a JSON array or its parts as words")
    parts = _parts(words[0]) if len(words) == 1 else words
    return key_text(parts)


def _parts(word: str) -> list[Any]:
    try:
        found = json.loads(word)
    except ValueError:
        found = None
    return found if isinstance(found, list) else [word]


def _fitting(key: str) -> list[Stream]:
    number = len(json.loads(key))
    fitting = [stream for stream in all_streams() if len(stream.key) == number]
    if not fitting:
        valid = "; ".join(f"{s.name}: {', '.join(part.name for part in s.key)}" for s in all_streams())
        raise UsageError(f"{key} has {number} parts, and no stream has such a key; valid: {valid}")
    return fitting
