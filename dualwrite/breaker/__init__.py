"""The circuit breaker of the mirror: after some failures in a row no write waits for it, until it answers again.

Only writes of this service ask it, and only whether to mirror at once. The keys of a write are noted before, in the
authority, so an open breaker loses nothing: the write says `pending`, and the relay, which does not ask, carries it.

1. `state` is what a breaker is and how it changes. Pure.
2. `shared` keeps it in Redis for all processes; where Redis is away, each has its own.
3. `writing.lane` asks before it mirrors and says what became of it; the relay says when it is through again.
4. Status, health and metrics show it; `reset` closes it.

closed ──MIRROR_BREAKER_FAILURES in a row──► open ──its pause is over──► half-open: one process tries, with one write
   ▲                                          ▲                             │
   └──────────────── it came through ─────────┼─────────────────────────────┤
                                              └─── it did not: a longer pause

How it can fail, and the answer:

* Redis is away or hangs → this process's own breaker; Redis is asked again some seconds later, so no write waits for
  it more often than that;
* REDIS_URL or a parameter is no such thing → the process's own breaker, the parameter's default: a write that was made
  is not failed by it;
* whoever tries dies → its turn ends by itself, the next one tries;
* nobody writes any more → the relay's success closes it, and what nobody added to for ten minutes is forgotten;
* the processes' clocks differ → Redis's clock counts;
* the mirror is there but slow or locked → it answered, so that is no failure.
"""

from dualwrite.breaker.shared import Asked, Breaker, breaker_of, reset
from dualwrite.breaker.state import Position, State

__all__ = ["Asked", "Breaker", "Position", "State", "breaker_of", "reset"]
