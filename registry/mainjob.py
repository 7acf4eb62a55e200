"""The main job: real data into the old store, from there into the new one, and the proof that both are equal.

1. current constituents → the screener store, historic spells → the registry (`registry.importing`); 2. for
each stream: enable (capture, then the keys of both stores), relay until nothing waits, validate strictly.

Doing it again changes nothing and proves it again.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dualwrite import outbox, switch
from dualwrite.control.enable import enable
from dualwrite.control.parked import parked_count
from dualwrite.control.status import relayed_total
from dualwrite.models import ValidationStatus
from dualwrite.relay import worker
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor
from dualwrite.validation.run import validate
from registry.importing import ImportReport, import_file

DATA = Path(__file__).resolve().parent.parent / "data"
#: File, and the index its rows belong to where the file does not say so.
FILES: tuple[tuple[str, str | None], ...] = (
    ("constituents_current.csv", None),
    ("sp500_history.csv", "S&P 500"),
    ("dow30_history.csv", "DOW JONES"),
)


class Steps(Protocol):
    """Whoever shows the progress."""

    def begin(self, label: str) -> None:
        """A step begins."""

    def at(self, done: int, total: int | None = None) -> None:
        """It has come this far."""


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

    @property
    def converged(self) -> bool:
        """Whether every stream converged; rejected import rows do not matter."""
        return bool(self.streams) and all(stream.converged for stream in self.streams)

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
    imports = []
    for name, index in FILES:
        steps.begin(f"importing {name}")
        imports.append(import_file(DATA / name, index=index))
    streams = tuple(_stream(stream, actor, steps) for stream in all_streams())
    return MainJob(tuple(imports), streams, _since(began))


def _stream(stream: Stream, actor: Actor, steps: Steps) -> StreamResult:
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
