"""What a rehearsal, or a benchmark, makes of writes and switches: who waited, for how long. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

#: From the beginning of a switch, as its writers could feel it, to its end; seconds of one clock.
Window = tuple[float, float]


@dataclass(frozen=True)
class Write:
    """When it was first tried and when acknowledged, in seconds of one clock; how often it was refused in between."""

    began: float
    ended: float
    refused: int = 0

    @property
    def seconds(self) -> float:
        """From the first try to the acknowledgement."""
        return self.ended - self.began

    def meets(self, windows: Sequence[Window]) -> bool:
        """Whether it was refused, or under way during one of the switches."""
        return self.refused > 0 or any(self.began < end and self.ended > begin for begin, end in windows)


@dataclass(frozen=True)
class Times:
    """How many writes there were, and how long they took in seconds."""

    count: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Switched:
    """One switch of a rehearsal: where to, its epoch, how long the lock was held, keys relayed for it.

    `failed`: why it could not begin or was taken back; empty when it was done.
    """

    to: str
    epoch: int | None = None
    stall_seconds: float | None = None
    keys: int = 0
    failed: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found.

    `refused`: refusals after which a write was tried again. `lost`: keys that a store does not have as they were
    acknowledged last, some of them in `lost_keys`. `ordinary`: writes that met no switch; `stall`: those that a switch
    made wait, from the first try to the acknowledgement.
    """

    seconds: float
    rate: float
    acknowledged: int
    refused: int
    lost: int
    switches: list[Switched]
    ordinary: Times | None
    stall: Times | None
    lost_keys: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was lost and every switch was done."""
        return not self.lost and not any(one.failed for one in self.switches)


def split(writes: Sequence[Write], windows: Sequence[Window]) -> tuple[list[Write], list[Write]]:
    """The writes that met no switch, and those that a switch made wait.

    Of the writes under way during a switch that were not refused, only those count as having waited that took longer
    than nearly all ordinary ones: the others would make the stall look shorter than it is.
    """
    ordinary = [write for write in writes if not write.meets(windows)]
    usual = percentile([write.seconds for write in ordinary], 99) if ordinary else 0.0
    met = [write for write in writes if write.meets(windows)]
    return ordinary, [write for write in met if write.refused or write.seconds > usual]


def times(writes: Sequence[Write]) -> Times | None:
    """Count and percentiles; None when there are no writes."""
    seconds = [write.seconds for write in writes]
    if not seconds:
        return None
    return Times(len(seconds), percentile(seconds, 50), percentile(seconds, 99), max(seconds))


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    return sorted(values)[max(-(-len(values) * percent // 100) - 1, 0)]


def as_text(found: Rehearsal) -> str:
    """The result for people."""
    lines = [
        f"{'passed' if found.passed else 'FAILED'}: {found.acknowledged} writes acknowledged in {found.seconds:.1f} s "
        f"({found.acknowledged / found.seconds:.0f} a second of {found.rate:g}), {found.lost} lost, "
        f"{found.refused} refused and tried again",
        *(_switch_line(number, one) for number, one in enumerate(found.switches, 1)),
        _times_line("ordinary writes", found.ordinary),
        _times_line("writes that met a switch", found.stall),
    ]
    return "\n".join(chain(lines, (f"! lost: {key}" for key in found.lost_keys)))


def _switch_line(number: int, one: Switched) -> str:
    if one.failed or one.stall_seconds is None:
        return f"! switch {number} to {one.to}: {one.failed}"
    held = one.stall_seconds * 1000
    return f"switch {number} to {one.to}: lock held {held:.1f} ms, {one.keys} keys relayed, epoch {one.epoch}"


def _times_line(what: str, found: Times | None) -> str:
    if found is None:
        return f"{what}: none"
    p50, p99, longest = (seconds * 1000 for seconds in (found.p50, found.p99, found.longest))
    return f"{what}: {found.count}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {longest:.1f} ms"
