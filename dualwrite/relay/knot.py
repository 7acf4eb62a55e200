"""Keys that block each other, untied: what none of them can do alone, all do in one transaction.

The keys that failed in a batch on a unique value are tried together with those parked for the same reason, whoever
parked them: the fences of all their partitions are taken for the one transaction, as a writer takes them that mirrors
what it wrote (`inline`). A key that cannot be applied even so is left out and the rest tried once more; a group only
gets smaller, so this ends. What is left over is parked as before.
"""

from collections.abc import Callable, Sequence

from dualwrite.relay import parking
from dualwrite.relay.applier import Applied
from dualwrite.relay.parking import POISON, Failure
from dualwrite.relay.room import StillBlocked
from dualwrite.stores import Session
from dualwrite.stream import Stream

#: A unique index or an exclusion constraint: another row is in the way.
BLOCKED = frozenset({"23505", "23P01"})
#: Parked keys that are tried along.
MOST_PARKED = 1_000


def untie(
    stream: Stream, registry: Session, apply: Callable[[Sequence[str]], Applied], failed: dict[str, Failure]
) -> None:
    """Apply together what blocks each other, and take it out of `failed`; `apply` does it for the given keys."""
    mine = [key for key, failure in failed.items() if failure.sqlstate in BLOCKED]
    if not mine:
        return
    # Read before the records are: what fails again after this is not taken for applied.
    parked = parking.blocked(stream, registry, BLOCKED, MOST_PARKED)
    keys = list(dict.fromkeys([*mine, *parked]))
    while len(keys) > 1:
        try:
            applied = apply(keys)
        except StillBlocked as exc:
            keys = [key for key in keys if key not in exc.keys]
            continue
        except POISON:
            return
        done = [key for key in keys if key not in applied.set_aside]
        for key in done:
            failed.pop(key, None)
        failed.update(applied.set_aside)
        parking.unpark(registry, {key: parked[key] for key in done if key in parked})
        return
