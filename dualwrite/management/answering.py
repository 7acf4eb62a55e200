"""What the verbs share: the shape of an answer, and the streams and stores that the options name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dualwrite.exceptions import UsageError
from dualwrite.management.base import mirrored_streams
from dualwrite.stages import Store, store_named
from dualwrite.stores import present
from dualwrite.stream import Stream, all_streams, stream_named

Options = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a verb answers: an object for machines, text for people, the exit code."""

    data: dict[str, Any]
    text: str
    code: int = 0


def each(options: Options, verb: Callable[[Stream], str]) -> Answer:
    """Do it to each chosen stream; the sentence it returns is what is said of that stream."""
    streams, left = mirrored(options)
    done = {stream.name: verb(stream) for stream in streams} | left
    return Answer({"streams": done}, "\n".join(f"{name}: {what}" for name, what in done.items()))


def mirrored(options: Options) -> tuple[list[Stream], dict[str, str]]:
    """As `mirrored_streams`, of what must be named: raises UsageError without --stream and --all."""
    if not options["stream"] and not options["all"]:
        raise UsageError("name a stream with --stream NAME, or take --all")
    return mirrored_streams(options)


def one_stream(options: Options) -> Stream:
    """The stream of --stream; raises UsageError without it, or UnknownName."""
    if not options["stream"]:
        raise UsageError(f"name a stream with --stream; valid: {', '.join(s.name for s in all_streams())}")
    return stream_named(options["stream"])


def named_store(options: Options) -> Store:
    """The store of --store; raises UsageError without it, or where the installation has none such, or UnknownName."""
    if not options["store"]:
        raise UsageError(f"name a store with --store; valid: {', '.join(present())}")
    store = store_named(options["store"])
    if store not in present():
        raise UsageError(f"there is no {store} store, as SCREENER_DATABASE_URL is none; valid: {', '.join(present())}")
    return store
