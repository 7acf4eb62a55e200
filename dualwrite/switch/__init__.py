"""Which store takes a stream's writes: roles and epochs, read and changed by conditional updates, nowhere else.

A switch moves the authority from store A to store M, in this order; each step is one transaction in one database:

1. `span`: writers of the stream wait behind a session's exclusive lock on A;
2. `steps.fence` on A: the role is `fenced`, the epoch e a new one;
3. the relay drains A's outbox until `steps.drained`;
4. `steps.promote` on M: authority at epoch e, capturing, its sequences moved on (`sequences`);
5. `steps.demote` on A: mirror, and every relay of before refused.

Giving up: `steps.burn` on M takes the epoch, so that nobody can promote any more; then `steps.revert` on A.

`decision` says, from both rows alone, what a half-done switch needs next; `settle` does it. `identity` knows whether
both databases are the ones that were paired, and have not gone back in time.

Each step checks what it relies on in its own transaction and raises ConcurrentChange when it no longer holds; what
breaks without each condition stands in docs/protocol.md.
"""

from dualwrite.switch.audit import Actor, audit
from dualwrite.switch.change import plan
from dualwrite.switch.identity import pair, require_pair
from dualwrite.switch.locks import lock_session
from dualwrite.switch.settle import settle
from dualwrite.switch.span import ready, span
from dualwrite.switch.state import State, authority, both, state
from dualwrite.switch.steps import (
    begin_capture,
    burn,
    demote,
    detach,
    drained,
    end_capture,
    fence,
    follow,
    mark_backfilled,
    promote,
    revert,
)

__all__ = [
    "Actor",
    "State",
    "audit",
    "authority",
    "begin_capture",
    "both",
    "burn",
    "demote",
    "detach",
    "drained",
    "end_capture",
    "fence",
    "follow",
    "lock_session",
    "mark_backfilled",
    "pair",
    "plan",
    "promote",
    "ready",
    "require_pair",
    "revert",
    "settle",
    "span",
    "state",
]
