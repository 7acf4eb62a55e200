"""From candidate to verdict, key by key: authority, nothing pending, mirror, authority again."""

import json
from collections.abc import Iterator, Sequence

from dualwrite.models import ParkedKey
from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.validation.look import Look, Waiting, look_at
from dualwrite.validation.merge import ONE_BY_ONE
from dualwrite.validation.tolerance import Rule
from dualwrite.validation.verdict import History, Kind, Verdict

#: Seconds waited before the next look at keys that have not come to rest.
PATIENCE = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
#: What is said of a verdict about a key with too many rows to be compared one by one.
MANY = f"more than {ONE_BY_ONE} rows of one key: compared exactly, as a whole"
#: Keys read by one statement.
CHUNK = 500
#: A key that has waited so long, while nothing of its lane was relayed, is stuck.
STUCK_AFTER_SECONDS = 300.0


def recheck(
    stream: Stream,
    authority: Store,
    keys: Sequence[str],
    rule: Rule | None = None,
    watch: Watch | None = None,
    *,
    stuck_after_seconds: float = STUCK_AFTER_SECONDS,
) -> Iterator[Verdict]:
    """The verdicts about candidate keys; a key that turns out equal gives none. Without a rule: every field, exactly.

    A difference counts only when two looks in a row, some time apart, find the same: a key that was changed, relayed
    and changed back between the reads of one look would otherwise seem different. Raises Cancelled as soon as the
    watch is told to stop.
    """
    judge = _Judge(stream, authority, rule or Rule(stream.fields), stuck_after_seconds)
    watch = watch or Watch()
    open_keys = list(dict.fromkeys(keys))
    for patience in (0.0, *PATIENCE):
        watch.pause(patience)
        before, open_keys = open_keys, []
        for chunk in _chunks(before):
            verdicts = judge.look(chunk)
            watch.advance(len(chunk) - len(judge.unsettled))
            open_keys += judge.unsettled
            yield from verdicts
        if not open_keys:
            return
    for chunk in _chunks(open_keys):
        yield from judge.give_up(chunk)


class _Judge:
    """Looks at keys, remembers what it saw, and says what two looks in a row have shown."""

    def __init__(self, stream: Stream, authority: Store, rule: Rule, stuck_after_seconds: float) -> None:
        self._stream, self._authority, self._rule = stream, authority, rule
        self._stuck_after = stuck_after_seconds
        self._seen: dict[str, Look] = {}
        self._waited_first: dict[str, Waiting] = {}
        #: The keys of the last look about which nothing can be said yet.
        self.unsettled: list[str] = []

    def look(self, keys: Sequence[str]) -> list[Verdict]:
        """Look at the keys once more; returns the verdicts."""
        settled, self.unsettled = [], []
        for key, look in look_at(self._stream, self._authority, keys, self._rule).items():
            before = self._seen.pop(key, None)
            if look.rests and look.agrees(self._rule):
                continue
            if look.rests and look == before:
                settled.append((key, look))
                continue
            self._seen[key] = look.remembered
            self.unsettled.append(key)
            if look.waiting:
                self._waited_first.setdefault(key, look.waiting)
        parked = _parked(self._stream, [key for key, _ in settled])
        return [self._difference(key, look, key in parked) for key, look in settled]

    def _difference(self, key: str, look: Look, parked: bool) -> Verdict:
        ones, others = look.authority.count, look.mirror.count
        kind = Kind.MISSING if not others else Kind.MISMATCH if ones else Kind.EXTRA
        history = History.PARKED if parked else History.NEVER_CAPTURED
        return self._verdict(kind, key, look, history, look.differing(self._rule))

    def give_up(self, keys: Sequence[str]) -> Iterator[Verdict]:
        """The verdicts about keys that never came to rest."""
        parked = _parked(self._stream, keys)
        for key in keys:
            look = self._seen[key]
            history = History.PARKED if key in parked else History.PENDING
            kind = Kind.STUCK if self._is_stuck(key, look, key in parked) else Kind.UNSETTLED
            yield self._verdict(kind, key, look, history, set())

    def _is_stuck(self, key: str, look: Look, parked: bool) -> bool:
        """Whether it waits and nobody works on it: it is parked as well, or it and all before it wait as they did."""
        if look.waiting is None:
            return False
        stands_still = look.waiting.place == self._waited_first[key].place
        return parked or (stands_still and look.waiting.seconds >= self._stuck_after)

    def _verdict(self, kind: Kind, key: str, look: Look, history: History, names: set[str]) -> Verdict:
        ordered = tuple(field.name for field in self._rule.fields if field.name in names)
        sides = look.authority, look.mirror
        ones, others = (json.loads(side.shown) for side in sides)
        counts = sides[0].count, sides[1].count
        return Verdict(kind, key, ones, others, history, ordered, counts, MANY if look.is_large else "")


def _parked(stream: Stream, keys: Sequence[str]) -> set[str]:
    if not keys:
        return set()
    with reaching(Store.REGISTRY):
        found = ParkedKey.objects.filter(stream=stream.name, key__in=keys)
        return set(found.values_list("key", flat=True))


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
