"""Named places between two steps, at which a test stops, delays or kills the process. Nothing happens there otherwise.

Only code can set one; neither the environment nor a request can.
"""

from collections.abc import Callable

_actions: dict[str, Callable[[], None]] = {}


def reach(name: str) -> None:
    """Do what a test wants to be done at this place."""
    action = _actions.get(name)
    if action is not None:
        action()


def at(name: str, action: Callable[[], None] | None) -> None:
    """Do this whenever the place is reached, in any thread of the process; None: nothing any more."""
    if action is None:
        _actions.pop(name, None)
    else:
        _actions[name] = action


def clear() -> None:
    """Nothing at any place."""
    _actions.clear()
