"""How a stream stands, derived from both stores at the moment of asking."""

from dataclasses import dataclass
from typing import Any

from dualwrite import capture, outbox, switch
from dualwrite.breaker import Position, breaker_of
from dualwrite.control.ceiling import near
from dualwrite.control.gates import findings
from dualwrite.control.half_done import unfinished
from dualwrite.control.proof import deciding_run, found_differences, mend_of, proves
from dualwrite.exceptions import DualWriteError, NoOldStore, OldStoreMissing, WrongStore
from dualwrite.models import ParkedKey, StreamControl, ValidationRun
from dualwrite.relay import sparing
from dualwrite.sql import statement
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import cursor, first_stage, present, reaching
from dualwrite.stream import Stream
from dualwrite.switch import State

#: What mends a stream that was left on its way when the old store's address was taken out of the settings.
MISSING = "set SCREENER_DATABASE_URL to the old store and bring the stream to complete"
#: The same where nothing shows that there ever was an old store.
NEVER = f"{MISSING}; if there never was one, drop schema dualwrite of the registry and install it anew"


@dataclass(frozen=True)
class Gate:
    """Something that keeps the stream from going on: which gate, why, and the command that mends it."""

    gate: str
    why: str
    mend: str


def stream_status(stream: Stream) -> dict[str, Any]:
    """The stream's line of `dualwrite status --json`; a store that cannot be asked is said under `blocked_by`."""
    gates: list[Gate] = []
    control = _control(stream, gates)
    state = _state(stream, gates)
    waiting = _pending(stream, state, gates)
    parked = _parked(stream, gates)
    last = _last_validation(stream)
    proof = _proof(stream)
    stage = Stage(control.stage) if control else None
    blind = _capture_gates(stream, stage) + mirror_gates(stream, state)
    gates += blind + _ceiling_gates(stream, state)
    if stage is None or not stage.ends_the_way_back:
        gates += _relay_gates(stream, control, state, parked) + _validation_gates(stream, state)
    breaker = _breaker(state, gates)
    left = unfinished(stream, control, state)
    age = waiting.oldest_age_seconds if waiting else None
    return {
        "name": stream.name,
        "stage": stage.value if stage else None,
        "authority": state.store.value if state else None,
        "mirroring": _mirroring(control, state),
        "verified": bool(state and proof and proves(proof, state) and not blind),
        "epoch": state.epoch if state else None,
        "outbox": {
            "pending": waiting.count if waiting else None,
            "pending_is_estimate": waiting.is_estimate if waiting else None,
            "oldest_age_seconds": age,
        },
        "lag_seconds": age,
        "parked": parked,
        "relayed_total": relayed_total(stream),
        "last_validation": _validation(last),
        "transition": left.sentence if left else None,
        "breaker": breaker,
        "rollback_ready": bool(stage and not left and _way_back_is_open(stream, stage)),
        "blocked_by": [vars(gate) for gate in gates],
    }


def _control(stream: Stream, gates: list[Gate]) -> StreamControl | None:
    try:
        with reaching(Store.REGISTRY):
            found = StreamControl.objects.filter(stream=stream.name).first()
            return found or StreamControl(stream=stream.name, stage=first_stage().value)
    except DualWriteError as exc:
        gates.append(Gate("registry", str(exc), "start the registry database"))
        return None


def _state(stream: Stream, gates: list[Gate]) -> State | None:
    try:
        return switch.authority(stream)
    except OldStoreMissing as exc:
        gates.append(Gate("authority", str(exc), NEVER))
        return None
    except DualWriteError as exc:
        gates.append(Gate("authority", str(exc), "manage.py dualwrite install --store screener (and registry)"))
        return None


def _pending(stream: Stream, state: State | None, gates: list[Gate]) -> outbox.Pending | None:
    if state is None:
        return None
    try:
        return outbox.pending(stream, state.store)
    except DualWriteError as exc:
        gates.append(Gate("outbox", str(exc), f"start the {state.store} database"))
        return None


def _ceiling_gates(stream: Stream, state: State | None) -> list[Gate]:
    if state is None:
        return []
    try:
        found = [one for one in near() if one.stream == stream.name]
    except DualWriteError:
        return []  # already said by _pending
    return [
        Gate("outbox", one.sentence, "mend the mirror or the relay; `dualwrite disable` stops noting") for one in found
    ]


def _breaker(state: State | None, gates: list[Gate]) -> dict[str, Any] | None:
    """How the mirror's breaker is; None where there is no mirror."""
    if state is None or not state.capture or Store.SCREENER not in present():
        return None
    mirror = state.store.peer
    found = breaker_of(mirror).report()
    if found["state"] != Position.CLOSED:
        why = f"writes do not wait for the {mirror} store, the relay carries them: {found['error']}"
        gates.append(Gate("breaker", why, f"start the {mirror} database; the breaker closes by itself"))
    return {"mirror": mirror.value, **found}


def _parked(stream: Stream, gates: list[Gate]) -> int | None:
    try:
        with reaching(Store.REGISTRY):
            return ParkedKey.objects.filter(stream=stream.name).count()
    except DualWriteError:
        return None  # already said by _control


def _proof(stream: Stream) -> ValidationRun | None:
    try:
        return deciding_run(stream)
    except DualWriteError:
        return None  # already said by _control


def _last_validation(stream: Stream) -> ValidationRun | None:
    try:
        with reaching(Store.REGISTRY):
            return ValidationRun.objects.filter(stream=stream.name).first()
    except DualWriteError:
        return None  # already said by _control


def _capture_gates(stream: Stream, stage: Stage | None) -> list[Gate]:
    gates = []
    for store in present():
        try:
            found = capture.problems(stream, store)
        except DualWriteError as exc:
            # Of a completed stream the old store is no part any more; it may be switched off for good.
            if stage is not Stage.COMPLETE or store is stage.authority:
                gates.append(Gate("capture", str(exc), f"start the {store} database"))
            continue
        if found:
            mend = f"manage.py dualwrite install --store {store}"
            gates.append(Gate("capture", f"{store}: {'; '.join(found)}", mend))
    return gates


def mirror_gates(stream: Stream, state: State | None) -> list[Gate]:
    """What makes the other store no mirror of this one, although this one captures."""
    if state is None or not state.capture:
        return []
    mend = f"manage.py dualwrite enable --stream {stream.name}"
    try:
        switch.require_pair()
        there = switch.state(stream, state.store.peer)
    except WrongStore as exc:
        return [Gate("identity", str(exc), "docs/runbooks/store-went-back.md says what to do")]
    except NoOldStore as exc:
        return [Gate("mirror", f"writes are noted for the old store. {exc}", MISSING)]
    except DualWriteError as exc:
        return [Gate("mirror", str(exc), f"start the {state.store.peer} database")]
    if there.role is Role.FENCED:
        return []  # a switch, which is told elsewhere
    if there.role is not Role.MIRROR:
        return [Gate("mirror", f"the {there.store} store is {there.role}, not the mirror", mend)]
    if there.distrusted:
        why = f"the {there.store} store may have been written unseen while its triggers were damaged"
        return [Gate("mirror", why, mend)]
    return []


def _relay_gates(stream: Stream, control: StreamControl | None, state: State | None, parked: int | None) -> list[Gate]:
    name = stream.name
    gates = []
    if _mirroring(control, state) == "disabled":
        why = "the stream is disabled: writes are not noted, and the mirror is unverified"
        enable = f"manage.py dualwrite enable --stream {name}"
        gates.append(Gate("disabled", why, enable if Store.SCREENER in present() else MISSING))
    if control and control.held_because:
        mend = f"manage.py dualwrite resume --stream {name} --force --reason WHY"
        gates.append(Gate("brake", control.held_because, mend))
    if control and control.paused:
        gates.append(Gate("paused", "an operator paused it", f"manage.py dualwrite resume --stream {name}"))
    if _mirroring(control, state) == "active" and state:
        gates += _sparing_gates(stream, state.store.peer)
    if parked:
        gates.append(Gate("parked", f"{parked} keys are parked", f"manage.py dualwrite parked --stream {name}"))
    return gates


def _sparing_gates(stream: Stream, mirror: Store) -> list[Gate]:
    try:
        why = sparing.reason(stream, mirror)
    except DualWriteError:
        return []  # already said by mirror_gates
    mend = "find out what else that server does; MIRROR_MAX_SESSIONS and MIRROR_MAX_REPLICA_LAG_SECONDS are the limits"
    return [Gate("load", f"it is relayed slowly, and a backfill waits: {why}", mend)] if why else []


def _validation_gates(stream: Stream, state: State | None) -> list[Gate]:
    try:
        run = deciding_run(stream)
    except DualWriteError:
        return []  # already said by _control
    if run is None or state is None or not state.capture or not found_differences(run, state):
        return []
    found = f"{run.missing_in_mirror} missing, {run.extra_in_mirror} extra, {run.field_mismatch} different"
    why = f"validation {run.pk} found that the mirror is not equal: {found}"
    return [Gate("validation", why, mend_of(stream, differs=True))]


def _mirroring(control: StreamControl | None, state: State | None) -> str | None:
    if control is None or state is None:
        return None
    if not state.capture:
        return "disabled" if Stage(control.stage).mirrors else "off"
    return "paused" if control.paused or control.held_because else "active"


def _way_back_is_open(stream: Stream, stage: Stage) -> bool:
    """Whether a rollback would find its gates open now, asked with one look each: no canary, no watching of the lag.

    Where the authority has moved, it is the way to the last stage of the old store that counts, not the next stage.
    """
    back = Stage.SHADOW if stage.authority is Store.REGISTRY else stage.way_back
    if back is None or stage.way_back is None:
        return False
    try:
        return all(gate.passed for gate in findings(stream, back, soak=False))
    except DualWriteError:
        return False  # what cannot be asked is not open; who is away is said under blocked_by


def relayed_total(stream: Stream) -> int | None:
    """Keys relayed so far in either direction; None when a store cannot be asked."""
    total = 0
    for store in present():
        try:
            with cursor(store) as found:
                found.execute(statement("state", "installed"))
                if found.fetchone()[0]:
                    found.execute(statement("status", "applied"), {"stream": stream.name})
                    total += int(found.fetchone()[0])
        except DualWriteError:
            return None  # a total without one store would be wrong
    return total


def _validation(run: ValidationRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    finished = run.finished_at.isoformat() if run.finished_at else None
    return {"id": run.pk, "status": run.status, "level": run.level, "finished_at": finished}
