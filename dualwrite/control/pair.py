"""`pair`: take both databases as they are now for the pair, although they are not as they remember each other.

For what is left when the right database is not to be had (docs/runbooks/store-went-back.md). Every stream ends as if it
had been disabled, so that both tables can be compared before `enable` makes one equal to the other.
"""

from contextlib import ExitStack

from dualwrite import router, switch
from dualwrite.control import transition
from dualwrite.control.reasons import require_reason
from dualwrite.stages import Store
from dualwrite.stream import all_streams
from dualwrite.switch import Actor, State


def pair(actor: Actor, *, force: bool = False, right: Store | None = None) -> dict[str, State]:
    """Let both stores remember each other as they are; returns by stream the row of the store that takes its writes.

    `right`: the store whose records count, where something is wrong; without, it is found out as `switch.pair` says.
    Raises UsageError for `force` without a reason, WrongStore or WentBack without `force` when something is wrong,
    AlreadyRunning, AuthorityUnknown when `right` is needed, and what reaching the stores raises.
    """
    require_reason(actor, "force", needed=force)
    with ExitStack() as stack:
        for stream in all_streams():
            stack.enter_context(transition.only(stream, actor))
        switch.pair(actor, anew=force, right=right)
        router.forget_roles()
        # The stage follows the roles.
        for stream in all_streams():
            transition.mend(stream, actor)
    return {stream.name: switch.authority(stream) for stream in all_streams()}
