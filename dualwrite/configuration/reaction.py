"""What a change of a parameter sets off: DUAL_WRITE_ENABLED from true to false disables every stream."""

import logging
from collections.abc import Sequence

from dualwrite.configuration.keep import Change
from dualwrite.control.disable import disable
from dualwrite.exceptions import DualWriteError
from dualwrite.parameters import DUAL_WRITE_ENABLED, Origin
from dualwrite.stream import all_streams
from dualwrite.switch import Actor

log = logging.getLogger(__name__)


def is_killed(change: Change) -> bool:
    """Whether the change switches dual writing off: it said true, and says false. Pure.

    A source that said nothing and says false changes nothing that runs; nor does one that says nothing any more.
    """
    if change.name != DUAL_WRITE_ENABLED.name or change.before is None or change.after is None:
        return False
    return DUAL_WRITE_ENABLED.read(change.before) and not DUAL_WRITE_ENABLED.read(change.after)


def react(changes: Sequence[Change], origin: Origin, by: Actor) -> list[str]:
    """Do what the changes set off; what could not be done, in sentences: each is logged as well."""
    if not any(is_killed(change) for change in changes):
        return []
    failed: list[str] = []
    for stream in all_streams():
        try:
            disable(stream, Actor(by.name, f"DUAL_WRITE_ENABLED became false ({origin}){_because(by)}"))
        except DualWriteError as exc:
            failed.append(f"stream {stream.name} could not be disabled: {exc}")
            log.error("%s", failed[-1])
    return failed


def _because(by: Actor) -> str:
    return f": {by.reason}" if by.reason else ""
