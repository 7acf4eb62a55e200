"""Gates: what must hold before a stage changes, each with the evidence on which it was opened.

Which gates a change asks for is a table (`asked`); what each one sees comes from its probe (`probes`). A closed gate
says why, and which command mends it. Gates that the switch itself relies on are never forced.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dualwrite.control import probes
from dualwrite.control.evidence import Evidence
from dualwrite.exceptions import NotInstalled, UsageError
from dualwrite.models import StreamControl
from dualwrite.stages import Stage, Store
from dualwrite.stores import first_stage, reaching
from dualwrite.stream import Stream


class GateName(StrEnum):
    """Every gate, in the order in which they are asked."""

    CAPTURE = "capture"  #: writes are noted as installed, in both stores
    PAIR = "pair"  #: both databases are the ones that were paired
    BACKFILL = "backfill"  #: every key has been noted, the other store is the mirror
    RELAYING = "relaying"  #: nobody stopped it, and a relay works
    CANARY = "canary"  #: tried: a write is noted, a noted key is relayed
    VALIDATION = "validation"  #: a clean strict validation, not an old one
    PARKED = "parked"  #: no key is set aside
    LAG = "lag"  #: what is noted is relayed soon
    WAY_BACK = "way_back"  #: after the switch the old authority could follow


@dataclass(frozen=True)
class Finding:
    """What one gate found. `why` and `mend` are empty when it is open; `evidence` is fit for JSON."""

    gate: str
    passed: bool
    why: str
    mend: str
    evidence: dict[str, Any]
    forcible: bool


#: Without these every later stage would be wrong, so no reason is good enough.
_NEVER_FORCED = frozenset({GateName.CAPTURE, GateName.PAIR, GateName.BACKFILL})

_FOLLOWING = tuple(gate for gate in GateName if gate is not GateName.WAY_BACK)
_STEPS: dict[tuple[Stage, Stage], tuple[GateName, ...]] = {
    (Stage.OFF, Stage.DUALWRITE): (GateName.CAPTURE, GateName.PAIR),
    (Stage.DUALWRITE, Stage.SHADOW): _FOLLOWING,
    (Stage.SHADOW, Stage.LIVE): tuple(GateName),
    (Stage.LIVE, Stage.RAMPDOWN): _FOLLOWING,
    (Stage.RAMPDOWN, Stage.COMPLETE): _FOLLOWING,
    # Back: the switch needs the same; its way back is the way just come. The others only take promises back.
    (Stage.LIVE, Stage.SHADOW): _FOLLOWING,
    (Stage.SHADOW, Stage.DUALWRITE): (),
    (Stage.RAMPDOWN, Stage.LIVE): (),
}


def asked(before: Stage, after: Stage) -> tuple[GateName, ...]:
    """The gates of that change, in order; of several steps those of any. Raises UsageError for no way."""
    order = list(Stage)
    start, end = order.index(before), order.index(after)
    step = 1 if end > start else -1
    path = [(order[place], order[place + step]) for place in range(start, end, step)]
    if not path or any(pair not in _STEPS for pair in path):
        raise UsageError(f"no way leads from stage {before} to {after}")
    wanted = {gate for pair in path for gate in _STEPS[pair]}
    return tuple(gate for gate in GateName if gate in wanted)


def never_forced(before: Stage, after: Stage) -> frozenset[GateName]:
    """The gates that no reason opens. On to live or complete a relay must be at work as well.

    Back it need not, as a switch relays the last keys itself: in an emergency the relay may be what is broken.
    """
    onward = before.switches_to(after) and before.authority is Stage.OFF.authority
    return _NEVER_FORCED | {GateName.RELAYING} if onward or after.ends_the_way_back else _NEVER_FORCED


def findings(stream: Stream, to: Stage, *, soak: bool = True, without: Collection[str] = ()) -> list[Finding]:
    """What every gate of the change from the present stage finds now, in a fixed order.

    With `soak` for a change about to happen: a canary is sent (not inside a transaction of the caller), a relay just
    starting is waited for, lag is watched. Else a single look that writes nothing, for status and dry runs.
    `without`: names of gates left out.

    Raises UsageError when no way leads there, StoreUnreachable, StoreFailed, AuthorityUnknown.
    """
    before = _stage(stream)
    case, found = probes.Case(stream, before, to, soak), []
    for gate in asked(before, to):
        if gate in without:
            continue
        one = _finding(gate, case)
        found.append(one)
        if not one.passed and gate in _NEVER_FORCED:
            case.obstacle = case.obstacle or (one.gate, one.mend)
    return found


def _stage(stream: Stream) -> Stage:
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    return Stage(control.stage) if control else first_stage()


def _finding(gate: GateName, case: probes.Case) -> Finding:
    try:
        evidence = _PROBES[gate](case)
    except NotInstalled as exc:
        evidence = Evidence({}, str(exc), "manage.py dualwrite install --store screener (and registry)")
    forcible = gate not in never_forced(case.before, case.after)
    return Finding(gate.value, not evidence.why, evidence.why, evidence.mend, evidence.facts, forcible)


_PROBES: dict[GateName, probes.Probe] = {
    GateName.CAPTURE: probes.probe_capture,
    GateName.PAIR: probes.probe_pair,
    GateName.BACKFILL: probes.probe_backfill,
    GateName.RELAYING: probes.probe_relaying,
    GateName.CANARY: probes.probe_canary,
    GateName.VALIDATION: probes.probe_validation,
    GateName.PARKED: probes.probe_parked,
    GateName.LAG: probes.probe_lag,
    GateName.WAY_BACK: probes.probe_way_back,
}
