"""Whether both databases are the ones that were paired, and neither has gone back in time.

How it can fail, and the answer:

* another database stands behind an address → the identities differ: WrongStore;
* a backup was restored, a disk set back → the store is behind what the other one remembers of it: WentBack;
* a replica was promoted, a copy was put in the place of the original → server, timeline, database or outbox is another
  one, although nothing may be behind: WentBack;
* a store was restored across a switch → both take the writes, or neither does: WentBack;
* the server does not tell its timeline → done without; `evidence` says so;
* a step is taken between the readings of both stores → what is remembered is compared with what was read later.

The way out of each is docs/runbooks/store-went-back.md: the right database, or both paired anew (`anew`).
"""

import json
from typing import Any

from dualwrite.exceptions import ConcurrentChange, Refused, WentBack, WrongStore
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.switch.anew import accept
from dualwrite.switch.audit import Actor, audit
from dualwrite.switch.memory import Reading, behind, contradiction, moved, stranger
from dualwrite.switch.reading import TOLD_BY_SERVER, read, told


def pair(actor: Actor, *, anew: bool = False, right: Store | None = None) -> None:
    """Let both stores remember each other.

    Raises WrongStore or WentBack when they are not as they remember each other, unless they are to be paired `anew`:
    then every stream ends as if disabled, with one authority and an epoch above all that were ever seen. `right`: the
    store whose records count; without, the one that takes the writes by the higher epoch. Raises AuthorityUnknown when
    that cannot be told, Refused for a `right` that is not needed, ConcurrentChange, StoreUnreachable, NotInstalled.
    """
    one, other = (told(read(store)) for store in Store)
    trouble = _trouble(one, other)
    if trouble and not anew:
        raise trouble
    if right and not trouble:
        raise Refused("both stores are as they remember each other; a switch moves the authority")
    if trouble:
        accept(one, other, actor, str(trouble), right)
    # Last: killed before, the next call still finds what was wrong.
    for here, there in ((one, other), (other, one)):
        _remember(here, there, actor, forget=trouble is not None)


def require_pair() -> None:
    """Raise WrongStore for an exchanged database, WentBack for one that is not as the other store remembers it."""
    one, other = (read(store) for store in Store)
    # A server that did not tell when they were paired is not asked again and again.
    if trouble := _trouble(told(one) if _asked(other) else one, told(other) if _asked(one) else other):
        raise trouble


def evidence() -> dict[str, Any]:
    """What both stores are and remember, for people; raises what reading them raises."""
    return {reading.store.value: _facts(reading) for reading in (told(read(store)) for store in Store)}


def _facts(reading: Reading) -> dict[str, Any]:
    return {
        "identity": reading.identity,
        "place": dict(reading.place),
        "not_told_by_server": [part for part in TOLD_BY_SERVER if part not in reading.place],
        "newest_note": reading.noted,
        "epochs": {name: found.epoch for name, found in reading.states.items()},
        "remembers": {**vars(reading.peer), "applied": sum(reading.peer.applied.values())},
    }


def _trouble(one: Reading, other: Reading) -> WrongStore | None:
    """What keeps them from being a pair. `one` was read first."""
    if why := stranger(one, other):
        return WrongStore(why)
    found = (moved(one, other), moved(other, one), behind(one, other), _on_second_look(one, other))
    why = "; ".join(filter(None, found))
    return WentBack(why) if why else None


def _on_second_look(one: Reading, other: Reading) -> str:
    """What the other store remembers may have happened after the first one was read: then it shows there now."""
    if not behind(other, one) and not contradiction(one, other):
        return ""
    again = read(one.store)
    stood_still = again.states == one.states
    return behind(other, again) or (contradiction(again, other) if stood_still else "")


def _asked(remembering: Reading) -> bool:
    return any(part in (remembering.peer.place or {}) for part in TOLD_BY_SERVER)


def _remember(here: Reading, there: Reading, actor: Actor, *, forget: bool) -> None:
    known = dict(here.peer.place or {})
    place = dict(there.place) if forget else {**there.place, **known}
    if here.peer.identity == there.identity and place == known:
        return
    values = {"peer": there.identity, "known": here.peer.identity, "place": json.dumps(place)}
    with cursor(here.store) as found:
        found.execute(statement("state", "pair"), values)
        if found.rowcount != 1:
            raise ConcurrentChange(f"somebody else pairs the {here.store} store")
    before = {"identity": here.peer.identity, "place": known}
    audit(here.store, actor, "pair", evidence={"before": before, "after": {"identity": there.identity, "place": place}})
