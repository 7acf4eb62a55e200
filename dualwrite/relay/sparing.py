"""Sparing the mirror: when its server has more to do than is good, what yields to writes waits, and writes go slowly.

Whoever backfills, or catches up with a long backlog, can take all that a server has. What is looked at, once a second,
is what operators set a limit to: sessions at work in the mirror's database besides the engine's own, and how far its
replicas are behind. What the engine's role may not see (it takes pg_monitor) is not counted.
"""

from dataclasses import dataclass

from dualwrite.parameters import MIRROR_MAX_REPLICA_LAG_SECONDS, MIRROR_MAX_SESSIONS
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream


@dataclass(frozen=True)
class Load:
    """Of one store's server: sessions at work, and the seconds by which its slowest replica is behind."""

    sessions: int
    replica_lag_seconds: float


@dataclass(frozen=True)
class Limits:
    """From where on a mirror is spared; 0: however much it is."""

    sessions: int
    replica_lag_seconds: float

    @classmethod
    def in_force(cls) -> "Limits":
        """Those of the parameters."""
        return cls(MIRROR_MAX_SESSIONS.value(), MIRROR_MAX_REPLICA_LAG_SECONDS.value())


def decide(store: Store, load: Load, limits: Limits) -> str:
    """Why that store is spared, empty when it is not. Pure."""
    if limits.sessions and load.sessions > limits.sessions:
        return f"{load.sessions} sessions are at work in the {store} store; the limit is {limits.sessions}"
    if limits.replica_lag_seconds and load.replica_lag_seconds > limits.replica_lag_seconds:
        behind = f"a replica of the {store} store is {load.replica_lag_seconds:.0f} s behind"
        return f"{behind}; the limit is {limits.replica_lag_seconds:g} s"
    return ""


def reason(stream: Stream, mirror: Store) -> str:
    """Why the stream's mirror is spared now, empty when it is not; raises StoreUnreachable."""
    limits = Limits.in_force()
    if not limits.sessions and not limits.replica_lag_seconds:
        return ""
    with cursor(mirror) as found:
        found.execute(statement("sparing", "load"))
        sessions, lag = found.fetchone()
    return decide(mirror, Load(int(sessions), float(lag)), limits)
