"""How a stream stands, derived from both stores at the moment of asking."""

from dataclasses import dataclass
from typing import Any

from dualwrite import capture, outbox, switch
from dualwrite.exceptions import DualWriteError, WrongStore
from dualwrite.models import ParkedKey, StreamControl, ValidationRun, ValidationStatus
from dualwrite.sql import statement
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import cursor, reaching
from dualwrite.stream import Stream
from dualwrite.switch import State


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
    proof = _last_validation(stream, finished=True)
    blind = _capture_gates(stream) + mirror_gates(stream, state)
    gates += blind + _relay_gates(stream, control, parked)
    age = waiting.oldest_age_seconds if waiting else None
    return {
        "name": stream.name,
        "stage": control.stage if control else None,
        "authority": state.store.value if state else None,
        "mirroring": _mirroring(control, state),
        "verified": bool(state and proof and _proves(proof, state) and not blind),
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
        "transition": half_done(stream, control, state),
        "rollback_ready": False,
        "blocked_by": [vars(gate) for gate in gates],
    }


def _control(stream: Stream, gates: list[Gate]) -> StreamControl | None:
    try:
        with reaching(Store.REGISTRY):
            found = StreamControl.objects.filter(stream=stream.name).first()
            return found or StreamControl(stream=stream.name, stage=Stage.OFF.value)
    except DualWriteError as exc:
        gates.append(Gate("registry", str(exc), "start the registry database"))
        return None


def _state(stream: Stream, gates: list[Gate]) -> State | None:
    try:
        return switch.authority(stream)
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


def _parked(stream: Stream, gates: list[Gate]) -> int | None:
    try:
        with reaching(Store.REGISTRY):
            return ParkedKey.objects.filter(stream=stream.name).count()
    except DualWriteError:
        return None  # already said by _control


def _last_validation(stream: Stream, *, finished: bool = False) -> ValidationRun | None:
    runs = ValidationRun.objects.filter(stream=stream.name)
    try:
        with reaching(Store.REGISTRY):
            return (runs.exclude(status=ValidationStatus.RUNNING) if finished else runs).first()
    except DualWriteError:
        return None  # already said by _control


def _capture_gates(stream: Stream) -> list[Gate]:
    gates = []
    for store in Store:
        try:
            found = capture.problems(stream, store)
        except DualWriteError as exc:
            gates.append(Gate("capture", str(exc), f"start the {store} database"))
            continue
        gates += [Gate("capture", f"{store}: {why}", f"manage.py dualwrite install --store {store}") for why in found]
    return gates


def mirror_gates(stream: Stream, state: State | None) -> list[Gate]:
    """What makes the other store no mirror of this one, although this one captures."""
    if state is None or not state.capture:
        return []
    mend = f"manage.py dualwrite enable --stream {stream.name}"
    try:
        switch.require_pair()
        role = switch.state(stream, state.store.peer).role
    except WrongStore as exc:
        return [Gate("identity", str(exc), f"{mend} --force --reason WHY, when it is the right one")]
    except DualWriteError as exc:
        return [Gate("mirror", str(exc), f"start the {state.store.peer} database")]
    if role is Role.MIRROR:
        return []
    return [Gate("mirror", f"the {state.store.peer} store is {role}, not the mirror", mend)]


def _relay_gates(stream: Stream, control: StreamControl | None, parked: int | None) -> list[Gate]:
    name = stream.name
    gates = []
    if control and control.held_because:
        mend = f"manage.py dualwrite resume --stream {name} --force --reason WHY"
        gates.append(Gate("brake", control.held_because, mend))
    if control and control.paused:
        gates.append(Gate("paused", "an operator paused it", f"manage.py dualwrite resume --stream {name}"))
    if parked:
        gates.append(Gate("parked", f"{parked} keys are parked", f"manage.py dualwrite parked --stream {name}"))
    return gates


def _mirroring(control: StreamControl | None, state: State | None) -> str | None:
    if control is None or state is None:
        return None
    if not state.capture:
        return "disabled" if Stage(control.stage).mirrors else "off"
    return "paused" if control.paused or control.held_because else "active"


def _proves(run: ValidationRun, state: State) -> bool:
    """Whether the run shows the mirror equal in this generation of capture."""
    clean = run.status == ValidationStatus.PASSED and run.level == "strict"
    return clean and state.backfilled and run.generation == state.generation and run.authority == state.store


def relayed_total(stream: Stream) -> int | None:
    """Keys relayed so far in either direction; None when a store cannot be asked."""
    total = 0
    for store in Store:
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


def half_done(stream: Stream, control: StreamControl | None, state: State | None) -> str | None:
    """What an interrupted verb left half-done, and the command that finishes it; None when nothing is."""
    if state and state.capture and not state.backfilled:
        return f"enable: the backfill is not complete; manage.py dualwrite enable --stream {stream.name}"
    if state and state.capture and control and control.stage == Stage.OFF:
        return f"enable: the stage is not recorded; manage.py dualwrite enable --stream {stream.name}"
    return None
