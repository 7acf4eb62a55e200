"""The main job: real data into the old store, from there into the new one, and the proof that both are equal.

1. current constituents → the screener store, historic spells → the registry (`registry.importing`); 2. for
each stream: enable (capture, then the keys of both stores), relay until nothing waits, validate strictly.

Doing it again changes nothing and proves it again. Members are imported into the store that takes the writes, and not
at all while the streams are in different ones; a stream that is complete, or that an operator disabled, is left as it
is. Where there is no old store there is nothing to do: files are
imported by hand then, spells before members, as a member without a spell gets one that begins today.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.control.enable import enable
from dualwrite.control.parked import parked_count
from dualwrite.control.status import relayed_total
from dualwrite.models import ValidationStatus
from dualwrite.relay import worker
from dualwrite.stages import Stage, Store
from dualwrite.stores import present
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor
from dualwrite.validation.run import validate
from registry.importing import ImportReport, import_file
from registry.importing.progress import Steps

DATA = Path(__file__).resolve().parent.parent / "data"
#: File, and the index its rows belong to where the file does not say so.
FILES: tuple[tuple[str, str | None], ...] = (
    ("constituents_current.csv", None),
    ("sp500_history.csv", "S&P 500"),
    ("dow30_history.csv", "DOW JONES"),
)


@dataclass(frozen=True)
class StreamResult:
    """How one stream came out; `relayed` counts keys moved during the job, `seconds` the stream's share of it."""

    name: str
    screener_rows: int | None
    registry_rows: int | None
    relayed: int
    parked: int
    verdict: str
    converged: bool
    seconds: float


@dataclass(frozen=True)
class MainJob:
    """The whole job."""

    imports: tuple[ImportReport, ...]
    streams: tuple[StreamResult, ...]
    seconds: float
    moves: bool = True  #: whether there is an old store to move streams from

    @property
    def converged(self) -> bool:
        """Whether every stream that is to be moved converged; rejected import rows do not matter."""
        return bool(self.streams) is self.moves and all(stream.converged for stream in self.streams)

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "streams": [vars(stream) for stream in self.streams],
            "import": [
                {
                    "file": Path(report.file).name,
                    "read": report.read,
                    "accepted": report.accepted,
                    "rejected": report.rejected,
                    "unchanged": report.unchanged,
                }
                for report in self.imports
            ],
            "seconds": self.seconds,
        }


def run(actor: Actor, steps: Steps) -> MainJob:
    """Do the main job; raises what importing, enabling, relaying or validating raises."""
    began = time.monotonic()
    if Store.SCREENER not in present():
        return MainJob((), (), _since(began), moves=False)
    imports = []
    into = _one_authority()
    for name, index in FILES:
        if index is None and into is None:
            steps.begin(f"{name} is left out: the streams' writes go to different stores")
            continue
        steps.begin(f"importing {name}")
        imports.append(import_file(DATA / name, index=index, into=None if index else into, actor=actor.name))
    streams = tuple(_stream(stream, actor, steps) for stream in all_streams())
    return MainJob(tuple(imports), streams, _since(began))


def _one_authority() -> str | None:
    """The store that takes the writes of every stream."""
    found = {switch.authority(stream).store.value for stream in all_streams()}
    return found.pop() if len(found) == 1 else None


def _left_alone(stream: Stream) -> StreamResult | None:
    """What is said of a stream that is not to be moved now; None when it is."""
    stage = transition.stage_of(stream)
    if stage.ends_the_way_back:
        return StreamResult(stream.name, None, None, 0, parked_count(stream), stage.value, converged=True, seconds=0.0)
    if stage is not Stage.OFF and not switch.authority(stream).capture:
        return StreamResult(stream.name, None, None, 0, parked_count(stream), "disabled", converged=False, seconds=0.0)
    return None


def _stream(stream: Stream, actor: Actor, steps: Steps) -> StreamResult:
    if left := _left_alone(stream):
        return left
    began, before = time.monotonic(), relayed_total(stream) or 0
    steps.begin(f"{stream.name}: enabling, noting the keys of both stores")
    enable(stream, actor, progress=steps.at)
    steps.begin(f"{stream.name}: relaying")
    worker.drain(stream, steps.at)
    steps.begin(f"{stream.name}: validating strictly")
    run = validate(stream, "strict")
    pending = outbox.pending(stream, switch.authority(stream).store).count
    parked = parked_count(stream)
    return StreamResult(
        name=stream.name,
        screener_rows=run.rows_of("screener"),
        registry_rows=run.rows_of("registry"),
        relayed=(relayed_total(stream) or 0) - before,
        parked=parked,
        verdict=run.status,
        converged=run.status == ValidationStatus.PASSED and not pending and not parked,
        seconds=_since(began),
    )


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)
