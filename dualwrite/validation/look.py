"""One look at keys in both stores: their records as they are now, and whether they wait to be relayed.

However many rows a key has, the server counts them and makes digests of them, and sends only the first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream, split_keyless
from dualwrite.validation.merge import ONE_BY_ONE
from dualwrite.validation.rows import records
from dualwrite.validation.tolerance import Rule, Values

#: Records of one key that are shown.
SHOWN = 10


@dataclass(frozen=True)
class Present:
    """The present rows of a key in one store; two are equal when nothing was written in between.

    digest: of the values as compared, the same in both stores where these are the same. versions: of the rows as this
    store has them, which every write changes. values: of the first `ONE_BY_ONE` rows. shown: of the first `SHOWN`, the
    fields as JSON. Both stores put rows in the same order.
    """

    count: int = 0
    digest: str = ""
    versions: str = ""
    values: tuple[Values, ...] = field(default=(), compare=False)
    shown: str = field(default="[]", compare=False)


NOTHING = Present()
Records = dict[str, Present]


@dataclass(frozen=True)
class Waiting:
    """A key's first note in the outbox: `place` is that note and the first of its lane, `seconds` its age."""

    place: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Look:
    """What one look at a key found. `moved`: the authority's records changed meanwhile."""

    authority: Present
    mirror: Present
    waiting: Waiting | None = None
    moved: bool = False

    @property
    def rests(self) -> bool:
        """Whether both stores' records can be held against each other."""
        return self.waiting is None and not self.moved

    @property
    def remembered(self) -> "Look":
        """The same without values: very many keys may be waited for."""
        authority, mirror = (replace(side, values=()) for side in (self.authority, self.mirror))
        return replace(self, authority=authority, mirror=mirror)

    @property
    def is_large(self) -> bool:
        """Whether there are too many rows to be held against each other one by one."""
        return max(self.authority.count, self.mirror.count) > ONE_BY_ONE

    def agrees(self, rule: Rule) -> bool:
        """Whether both stores have as many rows, and each its equal; of very many, its exact equal."""
        ones, others = self.authority, self.mirror
        if ones.count != others.count or ones.digest == others.digest:
            return ones.count == others.count
        return not (rule.tolerance is None or self.is_large) and rule.agree(ones.values, others.values)

    def differing(self, rule: Rule) -> set[str]:
        """Names of the fields that differ; none where it is the number of rows, or they are very many."""
        if self.authority.count != self.mirror.count or self.is_large:
            return set()
        return rule.differing(self.authority.values, self.mirror.values)


def read(stream: Stream, store: Store, keys: Sequence[str], rule: Rule) -> Records:
    """The present rows of the keys; a key without row is missing from the result."""
    found: Records = {}
    for some, by_key_text in zip(split_keyless(keys), (False, True), strict=True):
        if not some:
            continue
        query = compose("validation", "of_each", rows=records(stream, store, rule.fields, by_key_text=by_key_text))
        with cursor(store) as session:
            text = query.as_string(session.connection)
            session.execute(text, {"keys": some, "compared": ONE_BY_ONE, "shown": SHOWN})
            for key, count, digest, versions, compared, shown in session.fetchall():
                first = tuple(tuple(row) for row in json.loads(compared))
                found[str(key)] = Present(int(count), str(digest), str(versions), first, str(shown))
    return found


def waiting_of(stream: Stream, store: Store, keys: Sequence[str]) -> dict[str, Waiting]:
    """Those of the keys that wait in the store's outbox."""
    with cursor(store) as found:
        found.execute(statement("validation", "waiting"), {"lanes": stream.lanes, "keys": list(keys)})
        return {str(key): Waiting((first, head), float(age)) for key, first, age, head in found.fetchall()}


def look_at(stream: Stream, authority: Store, keys: Sequence[str], rule: Rule) -> dict[str, Look]:
    """A look at each key; it does not rest when it is noted and not relayed, or was written between the two reads."""
    before = read(stream, authority, keys, rule)
    waiting = waiting_of(stream, authority, keys)
    mirror = read(stream, authority.peer, keys, rule)
    after = read(stream, authority, keys, rule)
    return {
        key: Look(
            after.get(key, NOTHING), mirror.get(key, NOTHING), waiting.get(key), before.get(key) != after.get(key)
        )
        for key in keys
    }
