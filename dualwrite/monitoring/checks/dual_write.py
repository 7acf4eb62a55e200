"""Whether each stream's writes are captured, in a known store, and nothing waits for an operator.

Looking mends: what a process that died left half-done is brought to its end first. Whoever is at work is left alone.
"""

import logging
from dataclasses import dataclass
from typing import Any

from dualwrite import capture, switch
from dualwrite.breaker import breaker_of
from dualwrite.control.half_done import unfinished
from dualwrite.control.status import mirror_gates
from dualwrite.control.transition import settle_and_repair
from dualwrite.exceptions import Refused
from dualwrite.models import StreamControl
from dualwrite.monitoring.exceptions import Down, OutOfService
from dualwrite.monitoring.health import Check
from dualwrite.stages import Stage, Store
from dualwrite.stores import first_stage, present, reaching
from dualwrite.stream import Stream, all_streams

log = logging.getLogger(__name__)

HEALTH = switch.Actor("health check", "a transition was left half-done")


@dataclass(frozen=True)
class Standing:
    """One stream: its authority, what is wrong with its capture, and what operators or the brake said."""

    stream: str
    authority: str
    stage: str
    problems: tuple[str, ...]
    paused: bool
    held_because: str
    unfinished: tuple[str, ...]
    breaker: str | None


@dataclass(frozen=True, kw_only=True)
class DualWriteCheck(Check):
    """Every declared stream."""

    name: str = "dualWrite"
    mend: str = "manage.py dualwrite status"

    def run(self) -> dict[str, Any]:
        """Return each stream's standing; raise Down for broken capture, OutOfService for what waits for an operator.

        Raises AuthorityUnknown when it cannot be told which store takes the writes, and NotInstalled.
        """
        found = [standing(stream) for stream in all_streams()]
        details = {one.stream: {k: v for k, v in vars(one).items() if k != "stream"} for one in found}
        broken = [f"{one.stream}: {problem}" for one in found for problem in one.problems]
        if broken:
            raise Down("; ".join(broken), details)
        waiting = [f"{one.stream}: {why}" for one in found for why in (one.held_because, *one.unfinished) if why]
        if waiting:
            raise OutOfService("; ".join(waiting), details)
        return details


def standing(stream: Stream) -> Standing:
    """How the stream stands now, after what was left half-done has been ended."""
    busy = _settle(stream)
    authority = switch.authority(stream)
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    control = control or StreamControl(stream=stream.name, stage=first_stage().value)
    stage = Stage(control.stage)
    return Standing(
        stream=stream.name,
        authority=authority.store.value,
        stage=stage.value,
        problems=tuple(f"{store}: {why}" for store in _stores(stage) for why in capture.problems(stream, store)),
        paused=control.paused,
        held_because=control.held_because,
        breaker=_breaker(stage, authority),
        unfinished=() if busy else (*_left(stream, control, authority), *_no_mirror(stream, authority)),
    )


def _settle(stream: Stream) -> bool:
    """End what was left half-done; returns whether somebody is at work, which is no fault and looked at next time."""
    try:
        if settle_and_repair(stream, HEALTH):
            log.warning("stream %s: a transition was left half-done and has been ended", stream.name)
    except Refused as exc:
        log.info("stream %s: %s", stream.name, exc)
        return True
    return False


def _breaker(stage: Stage, authority: switch.State) -> str | None:
    """Whether writes wait for the mirror. An open one is no fault of capture: the component of its store is DOWN."""
    return str(breaker_of(authority.store.peer).report()["state"]) if stage.mirrors and len(present()) > 1 else None


def _stores(stage: Stage) -> list[Store]:
    """Those that are part of a stream at this stage; the others may be switched off."""
    return [stage.authority] if stage.ends_the_way_back else list(present())


def _left(stream: Stream, control: StreamControl, authority: switch.State) -> list[str]:
    found = unfinished(stream, control, authority)
    return [] if found is None or found.under_way else [found.sentence]


def _no_mirror(stream: Stream, authority: switch.State) -> list[str]:
    return [gate.why for gate in mirror_gates(stream, authority)]
