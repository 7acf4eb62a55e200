"""What an incremental validation looks at: the keys touched since the last one, and the slice that waits longest.

The relay keeps, in the mirror, the keys it has applied (`dualwrite.touched`). A run takes them, the parked keys and one
of 48 slices of all keys; every 30 minutes, that is everything once a day. Which slice is next, and how old the oldest
look at anything is, is read off the runs themselves: nothing else keeps it.

How it can fail, and the answer: a run dies after it took keys → they are removed only once it has come to its end; a
key waits and is not relayed → the outbox is asked, too; a key was found different → it is put back, so that the next
run looks again, and where they are too many to be named that one looks at everything; a run looked less closely → what
it took makes the next closer one look at everything; a batch commits behind a later one → rows are removed by their
numbers, not up to the highest; nobody validates → the relay drops the keys and says so, and the next run looks at
everything; the stream was disabled or switched → what was covered before counts no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from dualwrite.models import ParkedKey, ValidationRun, ValidationStatus
from dualwrite.parameters import VALIDATION_LEVEL
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, reaching
from dualwrite.stream import Stream
from dualwrite.switch import State
from dualwrite.validation.level import Level
from dualwrite.validation.scope import Scope

SLICES = 48
#: More keys than this are not looked at one by one: everything is.
MOST_KEYS = 500_000
#: A key that has waited longer to be relayed is looked at, too.
LATE_SECONDS = 60.0
#: Keys put back in one row.
CHUNK = 10_000
#: A slice without rows is skipped, and has been looked at all the same. What was skipped unseen has no generation.
_COMPLETE = (ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED, ValidationStatus.SKIPPED)
#: Levels that show at least what the level shows.
_AS_CLOSE: Mapping[Level, tuple[Level, ...]] = {
    Level.BASIC: (Level.BASIC, Level.DETAILED, Level.STRICT),
    Level.DETAILED: (Level.DETAILED, Level.STRICT),
    Level.STRICT: (Level.STRICT,),
}


@dataclass(frozen=True)
class Task:
    """What a run is to look at; `why` it is everything although only a part was asked for; the rows it looks at."""

    scope: Scope
    why: str
    rows: Mapping[Store, Sequence[int]]


def task(stream: Stream, here: State, level: Level, scope: Scope | None) -> Task:
    """The next incremental run's task where `scope` is None, else that scope; raises StoreUnreachable."""
    if scope is not None and not scope.is_whole:
        return Task(scope, "", {})
    waiting = {store: _waiting(stream, store) for store in Store}
    # A run that looks less closely than the scheduled ones leaves them what they have to look at.
    counts = level in _AS_CLOSE[Level(VALIDATION_LEVEL.value())]
    rows = {store: found.rows for store, found in waiting.items()} if counts else {}
    if scope is not None:
        return Task(scope, "", rows)
    covered = coverage(stream, here, level)
    late = _late(stream, here.store)
    if why := _why_whole(covered, waiting.values(), len(late), _taken_below(stream, here, level)):
        return Task(Scope.whole(), why, rows)
    keys = {key for store in Store for key in _keys(stream, store, waiting[store].rows)}
    named = sorted(keys | late | _parked(stream))
    return Task(Scope.slice(next_slice(covered), SLICES).and_keys(named), "", rows)


def coverage(stream: Stream, here: State, level: Level) -> dict[int, datetime]:
    """Slice → when it was last looked at, under this authority and generation; empty before a look at everything."""
    with reaching(Store.REGISTRY):
        whole = _last_whole(stream, here, level)
        if whole is None:
            return {}
        runs = _complete(stream, here).filter(level__in=_AS_CLOSE[level])
        parts = runs.filter(scope__startswith="slice ", started_at__gt=whole.started_at).order_by("started_at")
        found = list(parts.values_list("scope", "started_at"))
    return covered(whole.started_at, found)


def _complete(stream: Stream, here: State) -> "QuerySet[ValidationRun]":
    return ValidationRun.objects.filter(
        stream=stream.name,
        authority=here.store.value,
        generation=here.generation,
        status__in=_COMPLETE,
        cut_short="",
    )


def _last_whole(stream: Stream, here: State, level: Level) -> ValidationRun | None:
    return _complete(stream, here).filter(level__in=_AS_CLOSE[level], scope="whole").order_by("-id").first()


def rows_of_whole(stream: Stream) -> int | None:
    """The authority's records when everything was last counted; None: it never was. Raises StoreUnreachable."""
    counted = ValidationRun.objects.filter(stream=stream.name, scope="whole", authority_rows__isnull=False)
    with reaching(Store.REGISTRY):
        return counted.order_by("-id").values_list("authority_rows", flat=True).first()


def _taken_below(stream: Stream, here: State, level: Level) -> bool:
    """Whether a run that looks less closely may have taken keys since the last one of this level at everything."""
    with reaching(Store.REGISTRY):
        whole = _last_whole(stream, here, level)
        later = _complete(stream, here).exclude(level__in=_AS_CLOSE[level])
        return whole is not None and later.filter(pk__gt=whole.pk).exists()


def covered(whole: datetime, parts: Iterable[tuple[str, datetime]]) -> dict[int, datetime]:
    """Slice → the last look at it, from that of everything and those at slices, in the order of time."""
    seen = dict.fromkeys(range(SLICES), whole)
    for text, at in parts:
        number, of = text.removeprefix("slice ").partition(" ")[0].split("/")
        if int(of) == SLICES:
            seen[int(number)] = at
    return seen


def next_slice(covered: Mapping[int, datetime]) -> int:
    """The slice that waits longest."""
    return min(covered, key=lambda number: (covered[number], number))


def finish(stream: Stream, done: Task, again: Sequence[str] | None) -> None:
    """Remove what the run has looked at, but for the keys to look at `again`, None for all there are.

    A run that takes nothing puts nothing back either: what differs would be there once more with each of its kind.
    Raises StoreUnreachable.
    """
    if not done.rows:
        return
    left = sorted(set(again or ()))
    chunks: list[list[str] | None] = [left[start : start + CHUNK] for start in range(0, len(left), CHUNK)]
    if again is None:
        chunks = [None]
    # 1. first put back, 2. then remove: a death in between makes a key be looked at twice, never not at all.
    with cursor(Store.REGISTRY) as session:
        for keys in chunks:
            session.execute(statement("touched", "look_again"), {"stream": stream.name, "keys": keys})
    for store, rows in done.rows.items():
        with cursor(store) as session:
            session.execute(statement("touched", "looked_at"), {"stream": stream.name, "ids": list(rows)})


@dataclass(frozen=True)
class _Waiting:
    """Rows of `dualwrite.touched`, their keys counted, and whether keys were dropped."""

    rows: Sequence[int]
    keys: int
    dropped: bool


def _why_whole(covered: Mapping[int, datetime], waiting: Iterable[_Waiting], late: int, taken_below: bool) -> str:
    """Why a part is not enough; empty when it is."""
    found = list(waiting)
    if not covered:
        return "no complete look at everything yet, since the stream was enabled or switched"
    if taken_below:
        return "what was written since the last look at everything was looked at less closely"
    if any(each.dropped for each in found):
        return "more keys were written than are kept one by one"
    if late > MOST_KEYS:
        return f"more than {MOST_KEYS} keys wait to be relayed"
    if sum(each.keys for each in found) > MOST_KEYS:
        return f"more than {MOST_KEYS} keys were written since"
    return ""


def _waiting(stream: Stream, store: Store) -> _Waiting:
    with cursor(store) as session:
        session.execute(statement("touched", "waiting"), {"stream": stream.name})
        ids, keys, dropped = session.fetchone()
    return _Waiting(list(ids), int(keys), bool(dropped))


def _keys(stream: Stream, store: Store, rows: Sequence[int]) -> Iterable[str]:
    if not rows:
        return []
    with cursor(store) as session:
        session.execute(statement("touched", "keys"), {"stream": stream.name, "ids": list(rows)})
        return [str(key) for (key,) in session.fetchall()]


def _late(stream: Stream, store: Store) -> set[str]:
    """Keys that should have been relayed by now: what is not relayed leaves no trace in the mirror."""
    values = {"lanes": stream.lanes, "seconds": LATE_SECONDS, "most": MOST_KEYS + 1}
    with cursor(store) as session:
        session.execute(statement("touched", "late"), values)
        return {str(key) for (key,) in session.fetchall()}


def _parked(stream: Stream) -> set[str]:
    with reaching(Store.REGISTRY):
        return set(ParkedKey.objects.filter(stream=stream.name).values_list("key", flat=True)[:MOST_KEYS])
