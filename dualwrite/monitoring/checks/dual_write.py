"""Whether each stream's writes are captured, in a known store, and nothing waits for an operator."""

from dataclasses import dataclass
from typing import Any

from dualwrite import capture, switch
from dualwrite.control.status import half_done, mirror_gates
from dualwrite.models import StreamControl
from dualwrite.monitoring.exceptions import Down, OutOfService
from dualwrite.monitoring.health import Check
from dualwrite.stages import Stage, Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream, all_streams


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
    """How the stream stands now."""
    authority = switch.authority(stream)
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    return Standing(
        stream=stream.name,
        authority=authority.store.value,
        stage=control.stage if control else Stage.OFF.value,
        problems=tuple(f"{store}: {why}" for store in Store for why in capture.problems(stream, store)),
        paused=bool(control and control.paused),
        held_because=control.held_because if control else "",
        unfinished=tuple(filter(None, (half_done(stream, control, authority), *_no_mirror(stream, authority)))),
    )


def _no_mirror(stream: Stream, authority: switch.State) -> list[str]:
    return [gate.why for gate in mirror_gates(stream, authority)]
