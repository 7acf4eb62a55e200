"""Several streams one after another, each for itself: one that is refused keeps no other from being compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dualwrite.exceptions import DualWriteError, UsageError
from dualwrite.models import ValidationRun
from dualwrite.parameters import VALIDATION_BATCH_SIZE, VALIDATION_LEVEL
from dualwrite.runs import Watch
from dualwrite.stream import Stream
from dualwrite.validation.repair import Repair
from dualwrite.validation.run import level_named, validate


@dataclass(frozen=True)
class Order:
    """What is wanted of each stream, as `validate` takes it; `level` and `batch_size`: the parameters' unless given."""

    level: str | None = None
    batch_size: int | None = None
    repair: Repair | None = None
    incremental: bool = False
    unattended: bool = False

    def __post_init__(self) -> None:
        """Raises UnknownName for a level, UsageError for a batch size that is not allowed."""
        if self.level is not None:
            level_named(self.level)
        if self.batch_size is not None:
            batch_size(self.batch_size)

    @property
    def chosen_level(self) -> str:
        """The level; raises InvalidParameter."""
        return self.level if self.level is not None else VALIDATION_LEVEL.value()


@dataclass(frozen=True)
class Told:
    """The runs that came about, and by stream what refused the others."""

    runs: list[ValidationRun] = field(default_factory=list)
    refused: dict[str, DualWriteError] = field(default_factory=dict)


def validate_each(streams: Sequence[Stream], order: Order, follow: Callable[[str], Watch] | None = None) -> Told:
    """Validate these streams; `follow`: by stream, who is told how far it is.

    Raises what refuses the only stream, and a usage error at once.
    """
    told = Told()
    for stream in streams:
        watch = follow(stream.name) if follow else Watch(batch_size=order.batch_size)
        try:
            told.runs.append(_one(stream, order, watch))
        except DualWriteError as exc:
            if len(streams) == 1 or exc.exit_code == UsageError.exit_code:
                raise
            told.refused[stream.name] = exc
    return told


def _one(stream: Stream, order: Order, watch: Watch) -> ValidationRun:
    return validate(
        stream,
        order.chosen_level,
        watch=watch,
        repair=order.repair,
        incremental=order.incremental,
        unattended=order.unattended,
    )


def batch_size(rows: int) -> int:
    """So many rows at a time, where that is allowed; raises UsageError."""
    try:
        return VALIDATION_BATCH_SIZE.parse(str(rows))
    except ValueError as exc:
        raise UsageError(f"batch size {rows}; {exc}") from exc
