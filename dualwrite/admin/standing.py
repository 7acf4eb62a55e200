"""How a stream stands, as far as it decides which verbs are of use. Nothing is changed here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dualwrite.control import transition
from dualwrite.exceptions import InvalidParameter
from dualwrite.models import StreamControl
from dualwrite.parameters import DUAL_WRITE_ENABLED
from dualwrite.stages import Stage, Store
from dualwrite.stores import first_stage, reaching
from dualwrite.stream import Stream

#: Gates of `status` that enabling mends although capture is on.
MENDED_BY_ENABLE = frozenset({"mirror", "identity"})


@dataclass(frozen=True)
class Standing:
    """What of a stream's state the verbs depend on.

    `mirroring`: active, paused, disabled or off, None when a store cannot be asked. `never_enabled`: there is no
    control row. `half_done`: a sentence; None when nothing is. `under_way`: a process is at work on it.
    `is_pair`: nothing is known to be wrong between the stores. `may_not_enable`: why, or empty.
    """

    stream: str
    stage: Stage
    mirroring: str | None
    never_enabled: bool = False
    paused: bool = False
    held_because: str = ""
    half_done: str | None = None
    under_way: bool = False
    is_pair: bool = True
    may_not_enable: str = ""


def control_of(stream: Stream) -> StreamControl | None:
    """The control row; None when the stream was never enabled. Raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        return StreamControl.objects.filter(stream=stream.name).first()


def standing(stream: Stream, row: Mapping[str, Any]) -> Standing:
    """`row`: the stream's row of `dualwrite status --json`. Raises StoreUnreachable."""
    found = control_of(stream)
    control = found or StreamControl(stream=stream.name, stage=first_stage().value)
    return Standing(
        stream=stream.name,
        stage=Stage(control.stage),
        mirroring=row["mirroring"],
        never_enabled=found is None,
        paused=control.paused,
        held_because=control.held_because,
        half_done=row["transition"],
        under_way=transition.under_way(stream),
        is_pair=not MENDED_BY_ENABLE.intersection(gate["gate"] for gate in row["blocked_by"]),
        may_not_enable=_may_not_enable(),
    )


def _may_not_enable() -> str:
    try:
        allowed = DUAL_WRITE_ENABLED.value()
    except InvalidParameter as exc:
        return str(exc)
    return "" if allowed else f"{DUAL_WRITE_ENABLED.variable} is false; set it to true to enable streams"
